/**
 * What a broker delivers on a connection, as it says it. S13: a batch is delivered only while there is credit; it takes
 * as many as it has records from the position on, and may take it below 0. S14: from the moment at which a client is
 * told of the drain until it is told that it is called off, nothing is delivered.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

interface Credited {
  credit: number;
  /** Next offset by partition. */
  readonly next: Map<number, number>;
  granted: number;
}

export function checkCredit(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  /** Asked for and not answered yet: `link/id` → credit. */
  const asked = new Map<string, number>();
  const subscriptions = new Map<string, Credited>();
  for (const { index, event } of evidence.wire) {
    if (event.e === 'heard') {
      const { what } = event;
      if (what.op === 'subscribe') asked.set(`${event.link}/${what.id}`, what.credit);
      else if (what.op === 'credit') {
        const known = subscriptions.get(`${event.link}/${what.subscription}`);
        if (known === undefined) continue;
        known.credit += what.records;
        known.granted = index;
      }
    } else if (event.e === 'said') {
      const { what } = event;
      if (what.op === 'subscribed') {
        const credit = asked.get(`${event.link}/${what.id}`) ?? Number.POSITIVE_INFINITY;
        const next = new Map(what.positions.map(({ partition, offset }) => [partition, offset]));
        subscriptions.set(`${event.link}/${what.subscription}`, { credit, next, granted: index });
      } else if (what.op === 'gap') {
        subscriptions.get(`${event.link}/${what.subscription}`)?.next.set(what.partition, what.offset);
      } else if (what.op === 'records') {
        const known = subscriptions.get(`${event.link}/${what.subscription}`);
        if (known === undefined) continue;
        for (const [base, count] of what.batches) {
          const next = known.next.get(what.partition) ?? base;
          if (known.credit <= 0) {
            const text = `connection ${event.link} is given ${what.partition}@${base} of subscription ${what.subscription} without credit`;
            violations.push({ invariant: 'S13', text, excerpt: evidence.excerpt([known.granted, index]) });
          }
          known.credit -= Math.max(0, base + count - Math.max(next, base));
          known.next.set(what.partition, base + count);
        }
      }
    }
  }
  return violations;
}

export function checkDrainedDeliveries(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const draining = new Map<number, number>();
  for (const { index, event } of evidence.wire) {
    if (event.e !== 'said') continue;
    const { link, what } = event;
    if (what.op === 'goaway') {
      if (what.stage === 'drain') draining.set(link, index);
      else if (what.stage === 'cancelled') draining.delete(link);
    } else if (what.op === 'records') {
      const since = draining.get(link);
      if (since === undefined) continue;
      const text = `connection ${link} was told of the drain, and is given ${what.batches.length} batches of partition ${what.partition}`;
      violations.push({ invariant: 'S14', text, excerpt: evidence.excerpt([since, index]) });
    }
  }
  return violations;
}
