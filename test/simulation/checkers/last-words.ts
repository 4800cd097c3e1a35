/**
 * What a broker says last. S15: `lastAccepted` of a goaway names, for each topic and partition, the last sequence of
 * that connection that it has acknowledged before, no other and none less. S16: when it closes a connection for a
 * graceful shutdown that nothing pressed and no fault disturbed, everything has been said: nothing comes behind the close.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkLastAccepted(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const asked = new Map<string, { readonly row: string; readonly last: number }>();
  /** By connection: `topic/partition` → last sequence acknowledged. */
  const accepted = new Map<number, Map<string, { readonly last: number; readonly index: number }>>();
  for (const { index, event } of evidence.wire) {
    if (event.e === 'heard' && event.what.op === 'publish') {
      const { id, topic, partition, sequence, count } = event.what;
      asked.set(`${event.link}/${id}`, { row: `${topic}/${partition}`, last: sequence + count - 1 });
    } else if (event.e === 'said' && event.what.op === 'published') {
      const rows = accepted.get(event.link) ?? new Map();
      accepted.set(event.link, rows);
      for (const id of event.what.ids) {
        const publish = asked.get(`${event.link}/${id}`);
        if (publish === undefined) continue;
        if (publish.last > (rows.get(publish.row)?.last ?? -1)) rows.set(publish.row, { last: publish.last, index });
      }
    } else if (event.e === 'said' && event.what.op === 'goaway' && event.what.stage !== 'cancelled') {
      const known = accepted.get(event.link) ?? new Map<string, { readonly last: number; readonly index: number }>();
      const told = new Map(event.what.lastAccepted.map((each) => [`${each.topic}/${each.partition}`, each.sequence]));
      for (const row of new Set([...known.keys(), ...told.keys()])) {
        const due = known.get(row);
        if (due?.last === told.get(row)) continue;
        const text = `connection ${event.link} is told that ${told.get(row) ?? 'nothing'} of ${row} was accepted last; ${due?.last ?? 'nothing'} was`;
        const indexes = due === undefined ? [index] : [due.index, index];
        violations.push({ invariant: 'S15', text, excerpt: evidence.excerpt(indexes) });
      }
    }
  }
  return violations;
}

const shutdownCodes = new Set([1001, 1012]);

export function checkSilence(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const closing = new Map<number, number>();
  /** Brokers whose shutdown was not left to take its time, or has lost a part: there an answer may come too late. */
  const disturbed = new Set<number>();
  for (const { event } of evidence.all('stop')) {
    if (event.mode !== 'graceful' || event.deadlineMs !== null) disturbed.add(event.broker);
  }
  for (const { event } of evidence.all('child')) {
    if (event.state === 'failed' || event.state === 'abandoned') disturbed.add(event.broker);
  }
  for (const { index, event } of evidence.wire) {
    if (event.e === 'closing') {
      if (event.code !== null && shutdownCodes.has(event.code)) closing.set(event.link, index);
    } else if (event.e === 'said') {
      const since = closing.get(event.link);
      if (since === undefined || disturbed.has(event.broker)) continue;
      const text = `connection ${event.link} is closed, and is told ${event.what.op} behind it`;
      violations.push({ invariant: 'S16', text, excerpt: evidence.excerpt([since, index]) });
    }
  }
  return violations;
}
