/**
 * What became of every publish of a run: what was heard on the sockets against what the data directory holds afterwards,
 * by a judge that shares no code with the broker. Throws at what may never be: a refused publish that is stored, a record
 * that nobody sent, an order that was not kept, a hole in the offsets.
 */
import { expect } from 'vitest';
import { checkHistory, type SentRecord } from '../checker/history.ts';
import type { PublishLoad } from '../support/publish-load.ts';
import { directoryAt } from './stored.ts';

export interface Account {
  readonly acked: number;
  readonly stored: number;
  readonly lost: number;
  readonly unknown: number;
  readonly duplicates: number;
}

/** `loads`: all that ever published to the topic. */
export function accountOf(loads: readonly PublishLoad[], data: string, topic: string): Account {
  const directory = directoryAt(data);
  // As text, like it is stored: the values are JSON strings.
  const sentBy = (value: string): SentRecord => ({ topic, value: JSON.stringify(value), sender: senderOf(value) });
  const refused = (unknown: boolean): SentRecord[] =>
    loads.flatMap((load) =>
      [...load.refused].filter(([, code]) => (code === 'OUTCOME_UNKNOWN') === unknown).map(([value]) => sentBy(value)),
    );
  const unanswered = loads.flatMap((load) => load.unanswered.map(sentBy));
  const acked = loads.flatMap((load) => load.acked);
  const unknown = [...refused(true), ...unanswered];
  const verdict = checkHistory(
    {
      sent: loads.flatMap((load) => load.sent.map(sentBy)),
      acked: acked.map((record) => ({ ...record, topic, value: JSON.stringify(record.value) })),
      refused: refused(false),
      unknown,
    },
    directory,
  );
  expect(verdict).toMatchObject({ unknown: [], resurrected: [], reordered: [], gaps: [] });
  const answeredTwice = loads.reduce((sum, load) => sum + load.answeredTwice.length, 0);
  let stored = 0;
  for (const { records } of directory.topics.get(topic)?.partitions.values() ?? []) stored += records.length;
  return {
    acked: acked.length,
    stored,
    lost: verdict.lost.length,
    unknown: unknown.length,
    duplicates: verdict.duplicates.length + answeredTwice,
  };
}

function senderOf(value: string): string {
  return value.slice(0, value.lastIndexOf(':'));
}

export function sumOf(accounts: readonly Account[]): Account {
  const sum = { acked: 0, stored: 0, lost: 0, unknown: 0, duplicates: 0 };
  for (const account of accounts) {
    for (const name of ['acked', 'stored', 'lost', 'unknown', 'duplicates'] as const) sum[name] += account[name];
  }
  return sum;
}
