/**
 * S5: high watermark, log start and committed offsets never go back. S7: nothing is skipped by a commit: a group begins
 * at an offset that somebody committed, or at the start. I5: and never below one whose commit was confirmed.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkPositions(evidence: Evidence): Violation[] {
  return [...watermarks(evidence), ...committed(evidence), ...groupStarts(evidence)];
}

/** Of `sync` topics: those of others may lose what they had shown, in a new epoch. */
function watermarks(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const asks = new Map(evidence.all('ask').map((at) => [at.event.ask, at.index]));
  /** Lower bounds in the order in which they were learned. */
  const bounds: {
    readonly index: number;
    readonly row: string;
    readonly highWatermark: number;
    readonly start: number;
  }[] = [];
  for (const { index, event } of evidence.all('stored')) {
    if (evidence.durabilityOf(event.topic) !== 'sync') continue;
    for (const { partition, offset } of event.places)
      bounds.push({ index, row: `${event.topic}/${partition}`, highWatermark: offset + 1, start: 0 });
  }
  for (const { index, event } of evidence.all('answer')) {
    if (evidence.durabilityOf(event.topic) !== 'sync') continue;
    for (const { partition, highWatermark, start } of event.state)
      bounds.push({ index, row: `${event.topic}/${partition}`, highWatermark, start });
  }
  bounds.sort((a, b) => a.index - b.index);
  for (const { index, event } of evidence.all('answer')) {
    if (evidence.durabilityOf(event.topic) !== 'sync') continue;
    const asked = asks.get(event.ask) ?? index;
    for (const { partition, highWatermark, start } of event.state) {
      const row = `${event.topic}/${partition}`;
      for (const bound of bounds) {
        if (bound.index >= asked) break;
        if (bound.row !== row || (bound.highWatermark <= highWatermark && bound.start <= start)) continue;
        const text = `${row} ends at ${highWatermark} and begins at ${start}, behind ${bound.highWatermark} and ${bound.start} before`;
        violations.push({ invariant: 'S5', text, excerpt: evidence.excerpt([bound.index, asked, index]) });
        break;
      }
    }
  }
  return violations;
}

function rowOf({
  topic,
  partition,
  group,
}: {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
}): string {
  return `${topic}/${partition}/${group}`;
}

function committed(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const asks = new Map(evidence.all('commit').map((at) => [at.event.commit, at.index]));
  const confirmed: At<'committed'>[] = [];
  for (const at of evidence.all('committed')) {
    const { event, index } = at;
    if (evidence.durabilityOf(event.topic) === null) continue;
    const asked = asks.get(event.commit) ?? index;
    const before = confirmed.find(
      (each) => each.index < asked && rowOf(each.event) === rowOf(event) && each.event.offset > event.offset,
    );
    if (before !== undefined) {
      const text = `${rowOf(event)} is committed at ${event.offset}, behind ${before.event.offset} before`;
      violations.push({ invariant: 'S5', text, excerpt: evidence.excerpt([before.index, asked, index]) });
    }
    confirmed.push(at);
  }
  if (evidence.content === null) return violations;
  const last = new Map(evidence.content.commits);
  for (const { event, index } of confirmed) {
    if ((last.get(rowOf(event)) ?? 0) >= event.offset) continue;
    const text = `the commit of ${event.offset} for ${rowOf(event)} was confirmed; ${last.get(rowOf(event)) ?? 'none'} is stored`;
    violations.push({ invariant: 'S5', text, excerpt: evidence.excerpt([index]) });
  }
  return violations;
}

function groupStarts(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const subscribed = new Map(evidence.all('subscribe').map((at) => [at.event.subscription, at]));
  for (const { index, event } of evidence.all('begun')) {
    const at = subscribed.get(event.subscription);
    if (at === undefined || at.event.from !== 'committed' || at.event.group === null) continue;
    if (evidence.durabilityOf(event.topic) === null) continue;
    for (const { partition, offset } of event.positions) {
      const row = rowOf({ topic: event.topic, partition, group: at.event.group });
      const tried = evidence.all('commit').filter((each) => each.index < index && rowOf(each.event) === row);
      const sure = evidence.all('committed').filter((each) => each.index < at.index && rowOf(each.event) === row);
      const most = tried.reduce(
        (high, each) => (each.event.offset > high.event.offset ? each : high),
        tried[0] as At<'commit'>,
      );
      const least = sure.reduce(
        (high, each) => (each.event.offset > high.event.offset ? each : high),
        sure[0] as At<'committed'>,
      );
      if (offset > (most?.event.offset ?? 0)) {
        const text = `${event.subscription} begins at ${offset} of ${row}, where at most ${most?.event.offset ?? 0} was committed`;
        violations.push({ invariant: 'S7', text, excerpt: evidence.excerpt([at.index, index]) });
      }
      if (least !== undefined && offset < least.event.offset) {
        const text = `${event.subscription} begins at ${offset} of ${row}, below the confirmed ${least.event.offset}`;
        violations.push({ invariant: 'I5', text, excerpt: evidence.excerpt([least.index, at.index, index]) });
      }
    }
  }
  return violations;
}
