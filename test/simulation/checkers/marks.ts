/**
 * I6: what a group was given and has not committed comes again marked, when its subscription ended or the broker was
 * shut down in between; and nothing is marked that the group was never given. A kill forgets, and so may a shard that
 * failed: there only the second half counts. What is committed needs no mark, whoever reads it again.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

interface Reader {
  readonly topic: string;
  readonly group: string;
  readonly next: Map<number, number>;
  /** By partition: records below it must come marked; when that was learned. */
  readonly marked: Map<number, { readonly before: number; readonly index: number }>;
}

interface Given {
  /** One behind the last record that the group was given. */
  readonly to: number;
  readonly index: number;
}

export function checkMarks(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const forgetful = forgetfulBrokers(evidence);
  const asked = new Map<string, { readonly topic: string; readonly group: string }>();
  const readers = new Map<string, Reader>();
  /** By `topic/partition/group`, over all brokers: what was ever given, and what a subscription that ended was given. */
  const given = new Map<string, Given>();
  const left = new Map<string, Given>();
  let broker = 0;
  const leave = (link: number): void => {
    for (const [name, reader] of readers) {
      if (!name.startsWith(`${link}/`)) continue;
      readers.delete(name);
      for (const [partition, to] of reader.next) noteLeft(reader, partition, to);
    }
  };
  const noteLeft = ({ topic, group }: Reader, partition: number, to: number): void => {
    const row = `${topic}/${partition}/${group}`;
    const known = given.get(row);
    if (known !== undefined && to > (left.get(row)?.to ?? 0) && to <= known.to)
      left.set(row, { to, index: known.index });
  };
  /** By the same: the highest offset that anybody asked to commit. */
  const committed = new Map<string, number>();
  const events = [...evidence.wire, ...evidence.all('commit')] as readonly At<
    'heard' | 'said' | 'closing' | 'gone' | 'commit'
  >[];
  for (const { index, event } of [...events].sort((a, b) => a.index - b.index)) {
    if (event.e === 'commit') {
      const row = `${event.topic}/${event.partition}/${event.group}`;
      committed.set(row, Math.max(committed.get(row) ?? 0, event.offset));
      continue;
    }
    if (event.broker !== broker) {
      // What a broker knew, the next one knows when it was shut down whole.
      if (forgetful.has(broker)) left.clear();
      broker = event.broker;
      readers.clear();
    }
    const { link } = event;
    if (event.e === 'closing' || event.e === 'gone') leave(link);
    else if (event.e === 'heard') {
      const { what } = event;
      if (what.op === 'subscribe' && what.group !== null && evidence.durabilityOf(what.topic) === 'sync')
        asked.set(`${link}/${what.id}`, { topic: what.topic, group: what.group });
    } else if (event.e === 'said') {
      const { what } = event;
      if (what.op === 'goaway' && what.stage === 'drain') {
        for (const [name, reader] of readers) {
          if (name.startsWith(`${link}/`)) for (const [partition, to] of reader.next) noteLeft(reader, partition, to);
        }
      } else if (what.op === 'subscribed') {
        const ask = asked.get(`${link}/${what.id}`);
        if (ask === undefined) continue;
        const reader: Reader = { ...ask, next: new Map(), marked: new Map() };
        for (const { partition, offset } of what.positions) {
          reader.next.set(partition, offset);
          const known = left.get(`${ask.topic}/${partition}/${ask.group}`);
          if (known !== undefined) reader.marked.set(partition, { before: known.to, index: known.index });
        }
        readers.set(`${link}/${what.subscription}`, reader);
      } else if (what.op === 'gap') {
        readers.get(`${link}/${what.subscription}`)?.next.set(what.partition, what.offset);
      } else if (what.op === 'records') {
        const reader = readers.get(`${link}/${what.subscription}`);
        if (reader === undefined) continue;
        const { partition } = what;
        const row = `${reader.topic}/${partition}/${reader.group}`;
        const from = reader.next.get(partition) ?? what.batches[0]?.[0] ?? 0;
        const to = what.batches.reduce((end, [base, count]) => Math.max(end, base + count), from);
        const before = what.redeliveredBefore ?? 0;
        const ever = given.get(row);
        if (before > from && before > (ever?.to ?? 0)) {
          const text = `${row} is marked up to ${before}, and was given up to ${ever?.to ?? 0}`;
          violations.push({
            invariant: 'I6',
            text,
            excerpt: evidence.excerpt(ever === undefined ? [index] : [ever.index, index]),
          });
        }
        const due = reader.marked.get(partition);
        const uncommitted = due !== undefined && (committed.get(row) ?? 0) < due.before;
        if (uncommitted && from < due.before && before < Math.min(due.before, to)) {
          const text = `${row}@${from} was given up to ${due.before} to a reader that left, and comes again without a mark`;
          violations.push({ invariant: 'I6', text, excerpt: evidence.excerpt([due.index, index]) });
        }
        if (to > (ever?.to ?? 0)) given.set(row, { to, index });
        reader.next.set(partition, to);
      }
    }
  }
  return violations;
}

/** Brokers that were not shut down whole. */
function forgetfulBrokers(evidence: Evidence): ReadonlySet<number> {
  const whole = new Set(
    evidence.all('ended').flatMap(({ event }) => (event.report.outcome === 'clean' ? [event.broker] : [])),
  );
  const hurt = new Set(
    evidence
      .all('child')
      .flatMap(({ event }) => (event.state === 'failed' || event.state === 'abandoned' ? [event.broker] : [])),
  );
  return new Set(
    evidence.all('start').flatMap(({ event: { broker } }) => (whole.has(broker) && !hurt.has(broker) ? [] : [broker])),
  );
}
