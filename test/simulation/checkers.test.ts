/** Every checker, on a history made by hand that keeps its invariant and on one that breaks it. */
import { describe, expect, it } from 'vitest';
import type { PlanFacts } from './checkers/evidence.ts';
import { check } from './checkers/index.ts';
import type { ContentEvent, Heard, HistoryEvent, ReportSummary, Said } from './history.ts';

type Untimed = HistoryEvent extends infer E ? (E extends unknown ? Omit<E, 't'> : never) : never;

const plan: PlanFacts = {
  topics: [
    { name: 's0', partitions: 1, durability: 'sync' },
    { name: 'a0', partitions: 1, durability: 'async' },
  ],
  clients: [
    { name: 'app0', kind: 'app', producer: 'p-app0' },
    { name: 'wire0', kind: 'wire', producer: 'p-wire0' },
  ],
  network: { latencyMs: [0, 1] },
  steps: [],
};

/** Events a millisecond apart, or at the time that they bring. */
function happened(...events: readonly (Untimed & { readonly t?: number })[]): HistoryEvent[] {
  return events.map((event, index) => ({ t: index, ...event }) as HistoryEvent);
}

function broken(...events: readonly (Untimed & { readonly t?: number })[]): string[] {
  return [...new Set(check(happened(...events), plan).map(({ invariant }) => invariant))];
}

let sendings = 0;
interface Sent {
  readonly topic?: string;
  readonly lane?: string;
  readonly client?: string;
  readonly producer?: string | null;
  readonly sequence?: number | null;
  readonly sending?: number;
  readonly again?: boolean;
}

function send(id: string, options: Sent = {}): Untimed & { readonly e: 'send'; readonly sending: number } {
  sendings += 1;
  const {
    topic = 's0',
    client = 'app0',
    lane = 'app0#1',
    producer = 'p-app0',
    sequence = null,
    again = false,
  } = options;
  const { sending = sendings } = options;
  return { e: 'send', client, sending, topic, ids: [id], partition: 0, again, lane, producer, sequence };
}

function stored(sent: { readonly sending: number }, id: string, offset: number, topic = 's0', epoch = 1): Untimed {
  const places = [{ id, partition: 0, offset, epoch }];
  return { e: 'stored', client: 'app0', sending: sent.sending, topic, places, duplicate: false };
}

function refused(sent: { readonly sending: number }, code: string): Untimed {
  return { e: 'refused', client: 'app0', sending: sent.sending, topic: 's0', code };
}

function durable(...ids: readonly string[]): Untimed {
  return { e: 'durable', broker: 1, shard: 0, ids };
}

function given(id: string | null, offset: number, topic = 's0', epoch = 1): Untimed {
  return { e: 'given', subscription: 'sub0', place: { topic, partition: 0, offset, epoch }, id, redelivered: false };
}

type StoredRecord = ContentEvent['topics'][number]['partitions'][number]['records'][number];

function content(ids: readonly (string | StoredRecord)[], topic = 's0', rest: Partial<ContentEvent> = {}): Untimed {
  const records = ids.map((id) => (typeof id === 'string' ? { id, producer: null, sequence: null, epoch: 1 } : id));
  const topics = [{ topic, durability: 'sync', partitions: [{ partition: 0, epoch: 1, records }] }];
  return { e: 'content', topics, commits: [], faults: [], clean: [true], ...rest };
}

const cleanReport: ReportSummary = {
  outcome: 'clean',
  exitCode: 0,
  mode: 'graceful',
  durationMs: 1,
  budgetMs: 10_000,
  lost: 0,
  unknown: 0,
  children: [{ id: 'shard-00', state: 'released' }],
  unaccounted: [],
};

const start: Untimed = { e: 'start', broker: 1, shards: 1, budgetMs: 10_000 };
const stop: Untimed = { e: 'stop', broker: 1, mode: 'graceful', deadlineMs: null };
const killed: Untimed = { e: 'killed', broker: 1, how: 'kill', hungCalls: 0 };

function ended(
  report: Partial<ReportSummary> = {},
  left: Partial<{ files: number; unmarked: number[] }> = {},
): Untimed {
  return {
    e: 'ended',
    broker: 1,
    report: { ...cleanReport, ...report },
    left: { files: 0, timers: 0, locks: 0, unmarked: [], ...left },
  };
}

function child(state: string): Untimed {
  return { e: 'child', broker: 1, child: 'shard-00', state, detail: '' };
}

const heard = (what: Heard, link = 1): Untimed => ({ e: 'heard', broker: 1, link, what });
const said = (what: Said, link = 1): Untimed => ({ e: 'said', broker: 1, link, what });
const closing = (code: number): Untimed => ({ e: 'closing', broker: 1, link: 1, code });
const gone: Untimed = { e: 'gone', broker: 1, link: 1 };

function asks(
  id: number,
  { credit, group = null }: { readonly credit: number; readonly group?: string | null },
  link = 1,
): Untimed {
  return heard({ op: 'subscribe', id, topic: 's0', group, credit }, link);
}

function subscribed(id: number, offset: number, link = 1): Untimed {
  return said({ op: 'subscribed', id, subscription: 1, positions: [{ partition: 0, offset }] }, link);
}

function records(
  batches: readonly (readonly [number, number])[],
  redeliveredBefore: number | null = null,
  link = 1,
): Untimed {
  return said({ op: 'records', subscription: 1, partition: 0, epoch: 1, batches, redeliveredBefore }, link);
}

function credit(more: number): Untimed {
  return heard({ op: 'credit', subscription: 1, records: more });
}

function goaway(stage: string, lastAccepted: Extract<Said, { readonly op: 'goaway' }>['lastAccepted'] = []): Untimed {
  return said({ op: 'goaway', stage, lastAccepted });
}

describe('a history in which all is well', () => {
  it('breaks nothing', () => {
    const one = send('1');
    expect(
      broken(
        start,
        one,
        durable('1'),
        stored(one, '1', 0),
        { e: 'subscribe', client: 'app0', subscription: 'sub0', topic: 's0', from: 'earliest', group: null },
        { e: 'begun', subscription: 'sub0', topic: 's0', positions: [{ partition: 0, offset: 0, epoch: 1 }] },
        given('1', 0),
        stop,
        child('released'),
        ended(),
        content(['1']),
      ),
    ).toEqual([]);
  });
});

describe('S1 and I2: what was acknowledged is kept', () => {
  it('a record of a sync topic that is not there at the end', () => {
    const one = send('1');
    expect(broken(one, durable('1'), stored(one, '1', 0), ended(), content([]))).toEqual(['S1']);
  });

  it('a record of an async topic that was durable, and one whose broker ended clean', () => {
    const one = send('1', { topic: 'a0' });
    expect(broken(start, one, stored(one, '1', 0, 'a0'), durable('1'), killed, ended(), content([], 'a0'))).toEqual([
      'S1',
    ]);
    const two = send('2', { topic: 'a0' });
    expect(broken(start, two, stored(two, '2', 0, 'a0'), ended(), content([], 'a0'))).toEqual(['I2']);
  });

  it('allows a kill to cost what an async topic had not written', () => {
    const one = send('1', { topic: 'a0' });
    expect(broken(start, one, stored(one, '1', 0, 'a0'), killed, ended(), content([], 'a0'))).toEqual([]);
    const two = send('2', { topic: 'a0' });
    const again = send('2', { topic: 'a0', again: true });
    const lost = [start, two, stored(two, '2', 5, 'a0'), killed, start, again, stored(again, '2', 0, 'a0', 2)];
    const there = { id: '2', producer: null, sequence: null, epoch: 2 };
    expect(broken(...lost, durable('2'), ended(), content([there], 'a0'))).toEqual([]);
  });
});

describe('S2: nothing but what was published', () => {
  it('a record that nobody sent, a value that is not whole, and a place that shows two records', () => {
    expect(broken(ended(), content(['9']))).toEqual(['S2']);
    expect(broken(given(null, 0))).toEqual(['S2']);
    const [one, two] = [send('1', { topic: 'a0' }), send('2', { topic: 'a0' })];
    expect(broken(one, two, given('1', 0, 'a0'), { ...given('2', 0, 'a0'), subscription: 'sub1' } as Untimed)).toEqual([
      'S2',
    ]);
    // Of another epoch it is another record.
    expect(
      broken(one, two, given('1', 0, 'a0'), { ...given('2', 0, 'a0', 2), subscription: 'sub1' } as Untimed),
    ).toEqual([]);
  });
});

describe('S3: in the order sent, and a prefix of it', () => {
  it('two records of one sender the wrong way round', () => {
    expect(broken(send('1'), send('2'), ended(), content(['2', '1']))).toEqual(['S3']);
    expect(broken(send('1'), send('2', { lane: 'app0#2' }), ended(), content(['2', '1']))).toEqual([]);
  });

  it('a record that is left out before one that is stored, unless it was refused for good', () => {
    const [one, two] = [send('1'), send('2')];
    expect(broken(one, two, refused(one, 'SHARD_FAILED'), ended(), content(['2']))).toEqual(['S3']);
    expect(broken(one, two, refused(one, 'RECORD_TOO_LARGE'), ended(), content(['2']))).toEqual([]);
  });
});

describe('S4: dense offsets', () => {
  const begun: Untimed = {
    e: 'begun',
    subscription: 'sub0',
    topic: 's0',
    positions: [{ partition: 0, offset: 0, epoch: 1 }],
  };

  it('a delivery that skips a record or gives one again, without a gap that says so', () => {
    const sends = [send('1'), send('2'), durable('1', '2')];
    expect(broken(...sends, begun, given('2', 1))).toEqual(['S4']);
    expect(broken(...sends, begun, given('1', 0), given('1', 0))).toEqual(['S4']);
    const gap = { e: 'gap', subscription: 'sub0', topic: 's0', partition: 0, reason: 'lost', from: 0, to: 1 } as const;
    expect(broken(...sends, begun, { ...gap, epoch: 2, offset: 1 }, given('2', 1))).toEqual([]);
  });

  it('what the independent reader objects to', () => {
    expect(broken(ended(), content([], 's0', { faults: ['offset 4 where 3 was due'] }))).toEqual(['S4']);
  });
});

describe('S5, S7 and I5: positions', () => {
  const described = (ask: number, highWatermark: number): Untimed[] => {
    const who = { client: 'app0', ask, op: 'describe', topic: 's0' } as const;
    const state = [{ partition: 0, epoch: 1, start: 0, highWatermark }];
    return [
      { e: 'ask', ...who },
      { e: 'answer', ...who, code: null, state },
    ];
  };
  const at = { group: 'g0', topic: 's0', partition: 0, subscription: 'sub0' };
  const commit = (number: number, offset: number): Untimed => ({ e: 'commit', ...at, commit: number, offset });
  const committed = (number: number, offset: number): Untimed => ({ e: 'committed', ...at, commit: number, offset });
  const begins = (offset: number): Untimed[] => [
    { e: 'subscribe', client: 'app0', subscription: 'sub1', topic: 's0', from: 'committed', group: 'g0' },
    { e: 'begun', subscription: 'sub1', topic: 's0', positions: [{ partition: 0, offset, epoch: 1 }] },
  ];

  it('a high watermark that goes back, or stands below what was acknowledged', () => {
    expect(broken(...described(1, 5), ...described(2, 4))).toEqual(['S5']);
    expect(broken(...described(1, 4), ...described(2, 5))).toEqual([]);
    const one = send('1');
    expect(broken(one, durable('1'), stored(one, '1', 3), ...described(1, 3))).toEqual(['S5']);
  });

  it('a commit that goes back, or is not there at the end', () => {
    expect(broken(commit(1, 5), committed(1, 5), commit(2, 3), committed(2, 3))).toEqual(['S5']);
    expect(broken(commit(1, 5), committed(1, 5), ended(), content([]))).toEqual(['S5']);
    expect(broken(commit(1, 5), committed(1, 5), ended(), content([], 's0', { commits: [['s0/0/g0', 5]] }))).toEqual(
      [],
    );
  });

  it('a group that begins behind what it committed, or beyond what anybody did', () => {
    expect(broken(commit(1, 5), committed(1, 5), ...begins(4))).toEqual(['I5']);
    expect(broken(commit(1, 5), committed(1, 5), ...begins(6))).toEqual(['S7']);
    expect(broken(commit(1, 5), ...begins(0))).toEqual([]);
    expect(broken(commit(1, 5), ...begins(5))).toEqual([]);
  });
});

describe('S6: once', () => {
  const record = (id: string, sequence: number): StoredRecord => ({ id, producer: 'p', sequence, epoch: 1 });

  it('a record, or a sequence, that is stored twice', () => {
    expect(broken(send('1'), ended(), content(['1', '1']))).toEqual(['S6']);
    const sends = [send('1', { producer: 'p', sequence: 4 }), send('2', { producer: 'p', sequence: 4, lane: 'x' })];
    expect(broken(...sends, ended(), content([record('1', 4), record('2', 4)]))).toEqual(['S6']);
  });

  it('a resend that is answered with another place', () => {
    const one = send('1');
    const again = send('1', { again: true });
    expect(broken(one, durable('1'), stored(one, '1', 0), again, stored(again, '1', 1))).toContain('S6');
    expect(broken(one, durable('1'), stored(one, '1', 0), again, stored(again, '1', 0))).toEqual([]);
  });
});

describe('S9: the sync before the word', () => {
  it('an acknowledgement, or a delivery, of what is not durable', () => {
    const one = send('1');
    expect(broken(one, stored(one, '1', 0), durable('1'))).toEqual(['S9']);
    expect(broken(one, given('1', 0), durable('1'))).toEqual(['S9']);
    const two = send('2', { topic: 'a0' });
    expect(broken(two, stored(two, '2', 0, 'a0'), durable('2'))).toEqual([]);
  });
});

describe('S10 and I4: the barrier', () => {
  const draining: Untimed = { e: 'phase', broker: 1, phase: 'draining' };
  const write = (id: string): Untimed => ({ e: 'write', broker: 1, shard: 0, ids: [id] });

  it('a record that was sent after the drain began, and is written by the broker that drains', () => {
    expect(broken(draining, send('1'), write('1'))).toEqual(['S10']);
    expect(broken(send('1'), draining, write('1'))).toEqual([]);
    expect(broken(draining, { e: 'cancel', broker: 1, done: true }, send('1'), write('1'))).toEqual([]);
  });

  it('a record that was refused, and is stored', () => {
    const one = send('1');
    expect(broken(one, refused(one, 'DRAINING'), ended(), content(['1']))).toEqual(['I4']);
    expect(broken(one, refused(one, 'OUTCOME_UNKNOWN'), ended(), content(['1']))).toEqual([]);
  });

  it('a publish without an answer before a close for a graceful shutdown', () => {
    const wire = { client: 'wire0', lane: 'wire0#1', producer: null };
    const one = send('1', wire);
    const closed: Untimed = { e: 'disconnected', client: 'wire0', lane: 'wire0#1', code: 1012 };
    const drained = { ...draining, t: 500 };
    expect(broken(start, one, stop, drained, { ...closed, t: 600 })).toEqual(['I4']);
    expect(broken(start, one, stop, drained, refused(one, 'DRAINING'), { ...closed, t: 600 })).toEqual([]);
    expect(broken(start, one, { ...stop, mode: 'fast' } as Untimed, drained, { ...closed, t: 600 })).toEqual([]);
  });
});

describe('S13 and S14: deliveries', () => {
  it('more than there is credit for, counted in records from the position on; a batch is given whole', () => {
    const begin = [asks(1, { credit: 3 }), subscribed(1, 0)];
    expect(broken(...begin, records([[0, 2]]), records([[2, 5]]))).toEqual([]);
    expect(broken(...begin, records([[0, 2]]), records([[2, 5]]), records([[7, 1]]))).toEqual(['S13']);
    expect(broken(...begin, records([[0, 3]]), credit(1), records([[3, 1]]))).toEqual([]);
    expect(
      broken(
        ...begin,
        records([
          [0, 3],
          [3, 1],
        ]),
      ),
    ).toEqual(['S13']);
    expect(broken(asks(1, { credit: 3 }), subscribed(1, 9), records([[0, 11]]), records([[11, 1]]))).toEqual([]);
  });

  it('anything behind the word of the drain, until it is taken back', () => {
    const begin = [asks(1, { credit: 9 }), subscribed(1, 0), goaway('drain')];
    expect(broken(...begin, records([[0, 1]]))).toEqual(['S14']);
    expect(broken(...begin, goaway('cancelled'), records([[0, 1]]))).toEqual([]);
    expect(broken(asks(1, { credit: 9 }), subscribed(1, 0), goaway('announce'), records([[0, 1]]))).toEqual([]);
  });
});

describe('S15 and S16: last words', () => {
  const publish = (id: number, sequence: number, count: number): Untimed =>
    heard({ op: 'publish', id, topic: 's0', partition: 0, sequence, count });
  const last = (sequence: number): { topic: string; partition: number; sequence: number }[] => [
    { topic: 's0', partition: 0, sequence },
  ];

  it('a last accepted sequence that is another, is not there, or is of what was not acknowledged', () => {
    const begin = [publish(1, 0, 3), publish(2, 3, 2), said({ op: 'published', ids: [1] })];
    expect(broken(...begin, goaway('drain', last(2)))).toEqual([]);
    expect(broken(...begin, goaway('drain', last(0)))).toEqual(['S15']);
    expect(broken(...begin, goaway('drain', last(4)))).toEqual(['S15']);
    expect(broken(...begin, goaway('drain'))).toEqual(['S15']);
    expect(broken(...begin, goaway('cancelled'))).toEqual([]);
    expect(broken(publish(1, 0, 3), goaway('drain', last(2)))).toEqual(['S15']);
  });

  it('something said behind the close for a shutdown that nothing pressed', () => {
    const [close, late] = [closing(1012), said({ op: 'published', ids: [1] })];
    expect(broken(start, stop, close, late, ended())).toEqual(['S16']);
    expect(broken(start, stop, late, close, ended())).toEqual([]);
    expect(broken(start, stop, closing(4001), late, ended())).toEqual([]);
    expect(broken(start, { ...stop, mode: 'fast' } as Untimed, close, late, ended())).toEqual([]);
    expect(broken(start, stop, child('failed'), close, late, ended({ outcome: 'failed', exitCode: 21 }))).not.toContain(
      'S16',
    );
  });
});

describe('I6: marks', () => {
  const group = { credit: 100, group: 'g0' };
  const commit = (offset: number): Untimed => ({
    e: 'commit',
    subscription: 'sub0',
    commit: 1,
    group: 'g0',
    topic: 's0',
    partition: 0,
    offset,
  });
  const reader = [asks(1, group), subscribed(1, 0), records([[0, 3]])];
  const again = (mark: number | null, link = 2): Untimed[] => [
    asks(1, group, link),
    subscribed(1, 0, link),
    records([[0, 5]], mark, link),
  ];

  it('what a reader that left was given, and comes again without a mark, or with one that ends too early', () => {
    expect(broken(...reader, gone, ...again(3))).toEqual([]);
    expect(broken(...reader, gone, ...again(null))).toEqual(['I6']);
    expect(broken(...reader, gone, ...again(2))).toEqual(['I6']);
    expect(broken(...reader, goaway('drain'), ...again(null))).toEqual(['I6']);
    expect(broken(...reader, gone, commit(3), ...again(null))).toEqual([]);
    // Its reader is still there.
    expect(broken(...reader, ...again(null))).toEqual([]);
  });

  it('a mark on what the group was never given', () => {
    expect(broken(...reader, gone, ...again(4))).toEqual(['I6']);
    expect(broken(...again(1))).toEqual(['I6']);
  });

  it('allows a kill to forget, and no clean shutdown', () => {
    const next = again(null, 3).map((event) => ({ ...event, broker: 2 }) as Untimed);
    expect(broken(start, ...reader, gone, killed, ...next)).toEqual([]);
    expect(broken(start, ...reader, gone, ended(), ...next)).toEqual(['I6']);
  });
});

describe('S17: losses are told', () => {
  const told: Untimed = {
    e: 'gap',
    subscription: 'sub0',
    topic: 'a0',
    partition: 0,
    reason: 'lost',
    from: 1,
    to: 2,
    epoch: 2,
    offset: 1,
  };
  const of = (epoch: number): StoredRecord[] =>
    ['1', '3', '4'].map((id, at) => ({ id, producer: null, sequence: null, epoch: at === 0 ? 1 : epoch }));
  const sends = ['1', '2', '3', '4'].map((id) => send(id, { topic: 'a0', lane: id }));
  const before = [...sends, durable('1', '3', '4'), given('1', 0, 'a0'), given('2', 1, 'a0')];

  it('a reader that goes on in a later epoch, which began below its position, without a gap', () => {
    expect(broken(...before, given('4', 2, 'a0', 2), ended(), content(of(2), 'a0'))).toEqual(['S17']);
    expect(
      broken(...before, told, given('3', 1, 'a0', 2), given('4', 2, 'a0', 2), ended(), content(of(2), 'a0')),
    ).toEqual([]);
    // What was lost later than that is told later.
    expect(broken(...before, given('4', 2, 'a0', 2), ended(), content(of(3), 'a0'))).not.toContain('S17');
  });
});

describe('S11 and I11: the end of a shard', () => {
  it('a shard that ends twice, or is written to afterwards', () => {
    expect(broken(child('released'), child('released'))).toEqual(['S11']);
    expect(broken(child('failed'), child('released'))).toEqual(['I11']);
    expect(broken(child('released'), { e: 'write', broker: 1, shard: 0, ids: [] })).toEqual(['S11']);
    expect(broken(child('released'), { e: 'write', broker: 1, shard: 1, ids: [] })).toEqual([]);
  });

  it('a report that calls released what failed', () => {
    expect(broken(child('failed'), ended())).toContain('I11');
  });
});

describe('S12: bounds', () => {
  it('memory beyond its cap and what a publish of each client may add', () => {
    const memory = { e: 'memory', broker: 1, what: 'queue', capBytes: 100_000 } as const;
    expect(broken({ ...memory, bytes: 200_000 })).toEqual([]);
    expect(broken({ ...memory, bytes: 2_000_000 })).toEqual(['S12']);
  });
});

describe('L1, I3 and I7: the end of a broker', () => {
  it('one that is there after its budget, or needs the watchdog without a hung call', () => {
    expect(broken(start, stop, { ...ended(), t: 10_500 })).toEqual([]);
    expect(broken(start, stop, { ...ended(), t: 11_000 })).toEqual(['L1']);
    expect(broken(start, { ...stop, mode: 'immediate' } as Untimed, { ...ended(), t: 3000 })).toEqual(['L1']);
    const watchdog = { ...killed, how: 'watchdog' } as const;
    const ready = { e: 'child', broker: 1, child: 'shard-00', state: 'ready', detail: '' } as const;
    expect(broken(start, ready, stop, watchdog)).toEqual(['L1']);
    expect(broken(start, ready, stop, { ...watchdog, hungCalls: 1 })).toEqual([]);
    expect(broken(start, stop, watchdog)).toEqual([]);
  });

  it('one that calls a stop off with the drain', () => {
    const ready = { e: 'child', broker: 1, child: 'shard-00', state: 'ready', detail: '' } as const;
    const cancel = { e: 'cancel', broker: 1, done: true } as const;
    expect(broken(start, ready, stop, cancel, ended())).toEqual(['L1']);
    expect(broken(start, ready, stop, { ...cancel, done: false }, ended())).toEqual([]);
    expect(broken(start, ready, cancel, stop, ended())).toEqual([]);
    expect(broken(start, stop, cancel, ready, ended())).toEqual([]);
  });

  it('an exit code that does not fit what happened', () => {
    expect(broken(ended({ lost: 1 }))).toEqual(['I3']);
    expect(broken(ended({ outcome: 'failed' }))).toContain('I3');
    expect(broken(ended({}, { unmarked: [0] }))).toEqual(['I3']);
    expect(broken(ended({ outcome: 'failed', exitCode: 21, lost: 1 }))).toEqual([]);
  });

  it('something that is left behind', () => {
    expect(broken(ended({}, { files: 1 }))).toEqual(['I7']);
  });
});

describe('L2 and E1: coming right, and no defect', () => {
  it('a run that did not come right', () => {
    expect(broken({ e: 'stuck', text: 'app0: 1 unanswered' })).toEqual(['L2']);
    expect(broken(ended({ outcome: 'failed', exitCode: 21 }), content([]))).toEqual(['L2']);
  });

  it('an error that nobody handled, and INTERNAL told to a client', () => {
    expect(broken({ e: 'defect', text: 'nobody handled: TypeError' })).toEqual(['E1']);
    const one = send('1');
    expect(broken(one, refused(one, 'INTERNAL'))).toEqual(['E1']);
  });

  it('shows the shortest part of the history that it found it in', () => {
    const one = send('1');
    const [violation] = check(
      happened(start, one, durable('1'), stored(one, '1', 0), killed, ended(), content([])),
      plan,
    );
    expect(violation?.invariant).toBe('S1');
    expect(violation?.excerpt.map(({ e }) => e)).toEqual(['send', 'durable', 'stored']);
  });
});
