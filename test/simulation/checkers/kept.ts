/**
 * S1: every acknowledged record is readable, the same bytes, at the place that was told. I2: so are those of `async`
 * topics, when the broker that acknowledged them says that it ended clean. Those of an `async` topic may otherwise be
 * lost by the end of that broker, unless they were durable by then.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkKept(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const { index, event } of evidence.all('stored')) {
    const durability = evidence.durabilityOf(event.topic);
    if (durability === null) continue;
    for (const { id, partition, offset, epoch } of event.places) {
      const records = evidence.recordsOf(event.topic, partition);
      if (records === null) return violations;
      const found = records[offset];
      if (found?.id === id && found.epoch === epoch) continue;
      const place = `${event.topic}/${partition}@${offset} of epoch ${epoch}`;
      const there = found === undefined ? 'nothing' : `${found.id} of epoch ${found.epoch}`;
      const text = `${id} was acknowledged at ${place}; ${there} is there`;
      const end = evidence.endBehind(index);
      // Lost with its broker it may be sent, stored and durable again; that is another place.
      const wasDurable =
        (evidence.durable.get(id) ?? Number.POSITIVE_INFINITY) < (end?.index ?? Number.POSITIVE_INFINITY);
      if (durability === 'sync' || wasDurable)
        violations.push({ invariant: 'S1', text, excerpt: evidence.storyOf(id) });
      else if (end?.clean === true) {
        const excerpt = [...evidence.storyOf(id), ...evidence.excerpt([end.index])];
        violations.push({ invariant: 'I2', text: `${text}, and the broker ended clean`, excerpt });
      }
    }
  }
  return violations;
}
