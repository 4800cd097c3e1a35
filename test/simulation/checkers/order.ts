/**
 * S3: what is stored of a sender on a partition is in the order in which it was sent, and a prefix of it: nothing is
 * left out before something that is stored, unless it was refused for good. S4: offsets are dense, in the log and in
 * what a subscription is given; only a gap that was told may step over some.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

/** Refusals that are final: later records may be stored all the same. */
const finalCodes = new Set([
  'UNKNOWN_TOPIC',
  'UNKNOWN_PARTITION',
  'BAD_REQUEST',
  'RECORD_TOO_LARGE',
  'SEQUENCE_OUT_OF_ORDER',
]);

export function checkOrder(evidence: Evidence): Violation[] {
  return [...storedInOrder(evidence), ...nothingLeftOut(evidence)];
}

function storedInOrder(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const { topic, partitions } of evidence.content?.topics ?? []) {
    for (const { partition, records } of partitions) {
      const last = new Map<string, { readonly id: string; readonly rank: number }>();
      for (const { id, sequence } of records) {
        const first = id === null ? undefined : evidence.sendings.get(id)?.[0];
        if (first === undefined || id === null) continue;
        const { event, index } = first;
        // By hand, sequenced records come again on later connections; all others are sent once.
        const sender = event.sequence === null ? event.lane : `${event.producer}`;
        const rank = event.sequence === null ? index : (sequence ?? -1);
        const before = last.get(sender);
        if (before !== undefined && before.rank > rank) {
          const text = `${topic}/${partition} holds ${id} behind ${before.id}, which ${sender} sent later`;
          violations.push({
            invariant: 'S3',
            text,
            excerpt: [...evidence.storyOf(id), ...evidence.storyOf(before.id)],
          });
        }
        last.set(sender, { id, rank });
      }
    }
  }
  return violations;
}

function nothingLeftOut(evidence: Evidence): Violation[] {
  if (evidence.content === null) return [];
  const violations: Violation[] = [];
  const stored = new Set(
    evidence.content.topics.flatMap(({ partitions }) =>
      partitions.flatMap(({ records }) => records.map(({ id }) => id)),
    ),
  );
  const missing = new Map<string, string>();
  for (const { event } of evidence.all('send')) {
    const { topic, partition, lane, sequence, producer, again, sending } = event;
    // A record without a sequence of its client's own and without the library's is no part of a prefix.
    const sender = sequence !== null ? producer : producer === null ? null : lane;
    if (evidence.durabilityOf(topic) !== 'sync' || partition === null || sender === null || again) continue;
    const row = `${sender} ${topic}/${partition}`;
    const answer = evidence.answers.get(sending)?.event;
    for (const id of event.ids) {
      const hole = missing.get(row);
      if (stored.has(id) && hole !== undefined) {
        const text = `${topic}/${partition} holds ${id} and not ${hole}, which ${sender} sent before`;
        violations.push({ invariant: 'S3', text, excerpt: [...evidence.storyOf(hole), ...evidence.storyOf(id)] });
      } else if (!stored.has(id) && !(answer?.e === 'refused' && finalCodes.has(answer.code))) {
        if (hole === undefined) missing.set(row, id);
      }
    }
  }
  return violations;
}

export function checkDense(evidence: Evidence): Violation[] {
  const violations: Violation[] = (evidence.content?.faults ?? []).map((text) => ({
    invariant: 'S4',
    text,
    excerpt: [],
  }));
  const due = new Map<string, { offset: number; index: number }>();
  const earliest = new Set(
    evidence.all('subscribe').flatMap(({ event }) => (event.from === 'earliest' ? event.subscription : [])),
  );
  const events = [...evidence.all('begun'), ...evidence.all('given'), ...evidence.all('gap')] as readonly At<
    'begun' | 'given' | 'gap'
  >[];
  for (const { index, event } of [...events].sort((a, b) => a.index - b.index)) {
    if (event.e === 'begun') {
      for (const { partition, offset } of event.positions)
        due.set(`${event.subscription}/${partition}`, { offset, index });
    } else if (event.e === 'gap') {
      due.set(`${event.subscription}/${event.partition}`, { offset: event.offset, index });
    } else {
      const { topic, partition, offset } = event.place;
      const row = `${event.subscription}/${partition}`;
      // A partition that was not served when the subscription began joins later, without another word on where.
      const expected = due.get(row) ?? { offset: earliest.has(event.subscription) ? 0 : offset, index };
      if (expected.offset !== offset) {
        const text = `${event.subscription} was given ${topic}/${partition}@${offset} where ${expected.offset} was due`;
        violations.push({ invariant: 'S4', text, excerpt: evidence.excerpt([expected.index, index]) });
      }
      due.set(row, { offset: offset + 1, index });
    }
  }
  return violations;
}
