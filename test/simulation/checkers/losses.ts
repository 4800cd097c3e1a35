/**
 * S17: a reader that is led from one epoch into a later one has lost nothing in silence. Where the later epoch, or one in
 * between, began below the reader's position, other records stand there now, and a gap must have told it.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

interface Position {
  /** One behind the last record given, of this epoch. */
  readonly offset: number;
  readonly epoch: number;
  readonly index: number;
}

export function checkLosses(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const positions = new Map<string, Position>();
  const events = [...evidence.all('given'), ...evidence.all('gap')] as readonly At<'given' | 'gap'>[];
  for (const { index, event } of [...events].sort((a, b) => a.index - b.index)) {
    if (event.e === 'gap') {
      positions.delete(`${event.subscription}/${event.partition}`);
      continue;
    }
    const { topic, partition, offset, epoch } = event.place;
    const row = `${event.subscription}/${partition}`;
    const before = positions.get(row);
    if (before !== undefined && epoch > before.epoch && offset === before.offset) {
      const lost = (evidence.recordsOf(topic, partition) ?? []).findIndex(
        (record, at) => at < before.offset && record.epoch > before.epoch && record.epoch <= epoch,
      );
      if (lost >= 0) {
        const text = `${event.subscription} goes from epoch ${before.epoch} to ${epoch} at ${topic}/${partition}@${offset}, and was not told that other records stand from ${lost} on`;
        violations.push({ invariant: 'S17', text, excerpt: evidence.excerpt([before.index, index]) });
      }
    }
    positions.set(row, { offset: offset + 1, epoch, index });
  }
  return violations;
}
