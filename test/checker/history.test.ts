/** The judge of histories finds each kind of broken promise, and none where all was kept. */
import { describe, expect, it } from 'vitest';
import type { StoredRecord } from './batch-reader.ts';
import type { StoredDirectory } from './data-directory.ts';
import { checkHistory, type History, isKept } from './history.ts';

function stored(values: readonly string[], change: (record: StoredRecord) => StoredRecord = (r) => r): StoredDirectory {
  const records = values.map((value, offset) =>
    change({
      offset,
      key: null,
      value: Buffer.from(value),
      headers: null,
      encoding: 'utf8',
      timestamp: 1,
      epoch: 1,
      producer: null,
      sequence: null,
    }),
  );
  const topic = { id: 256, count: 1, durability: 'sync' as const, partitions: new Map([[0, { epoch: 1, records }]]) };
  return { shards: [], topics: new Map([['t', topic]]), commits: new Map(), faults: [] };
}

const sent = (...values: string[]) => values.map((value) => ({ topic: 't', value, sender: 'a' }));
const ack = (offset: number, value: string) => ({ topic: 't', partition: 0, offset, value });
const history = (change: Partial<History>): History => ({ sent: [], acked: [], refused: [], unknown: [], ...change });

describe('the judge of histories', () => {
  it('finds nothing where every promise was kept, resends and unknown outcomes included', () => {
    const verdict = checkHistory(
      history({
        sent: sent('1', '2', '3', '2', '3', '4', '5'),
        acked: [ack(0, '1'), ack(1, '2'), ack(2, '3')],
        refused: sent('2', '3', '5'),
        unknown: sent('4'),
      }),
      stored(['1', '2', '3', '4']),
    );
    expect(verdict).toEqual({ lost: [], unknown: [], duplicates: [], resurrected: [], reordered: [], gaps: [] });
    expect(isKept(verdict)).toBe(true);
  });

  it.each<[string, Partial<History>, StoredDirectory, string, string]>([
    [
      'an acknowledged record that is not there',
      { sent: sent('1'), acked: [ack(0, '1')] },
      stored([]),
      'lost',
      't/0@0: "1" was acknowledged, nothing is there',
    ],
    [
      'another record at its offset',
      { sent: sent('1', '2'), acked: [ack(0, '2')] },
      stored(['1', '2']),
      'lost',
      't/0@0: "2" was acknowledged, "1" is there',
    ],
    [
      'another key',
      { sent: sent('1'), acked: [{ ...ack(0, '1'), key: 'k' }] },
      stored(['1']),
      'lost',
      't/0@0: "1" was acknowledged, "1" is there',
    ],
    ['a record that nobody sent', { sent: sent('1') }, stored(['1', '2']), 'unknown', 't/0@1: "2"'],
    ['a record that is stored twice', { sent: sent('1', '2') }, stored(['1', '2', '2']), 'duplicates', 't/0@2: "2"'],
    [
      'a refused record that is stored',
      { sent: sent('1'), refused: sent('1') },
      stored(['1']),
      'resurrected',
      't/0@0: "1"',
    ],
    [
      'a record refused twice of two sendings',
      { sent: sent('1', '1'), refused: sent('1', '1') },
      stored(['1']),
      'resurrected',
      't/0@0: "1"',
    ],
    ['records in another order', { sent: sent('1', '2', '3') }, stored(['1', '3', '2']), 'reordered', 't/0@2: "2"'],
    [
      'a resend that does not explain the order',
      { sent: sent('1', '2', '3', '1') },
      stored(['1', '3', '2']),
      'reordered',
      't/0@2: "2"',
    ],
    [
      'a missing offset',
      { sent: sent('1', '2') },
      stored(['1', '2'], (r) => ({ ...r, offset: r.offset * 2 })),
      'gaps',
      't/0: offset 2 where 1 was due',
    ],
    [
      'a sequence that is stored twice',
      { sent: sent('1', '2') },
      stored(['1', '2'], (r) => ({ ...r, producer: 'p', sequence: 7 })),
      'duplicates',
      't/0@1: "2": sequence 7 of p once more',
    ],
  ])('finds %s', (_what, change, directory, list, text) => {
    const verdict = checkHistory(history(change), directory);
    expect(verdict).toEqual({
      lost: [],
      unknown: [],
      duplicates: [],
      resurrected: [],
      reordered: [],
      gaps: [],
      [list]: [text],
    });
    expect(isKept(verdict)).toBe(false);
  });
});
