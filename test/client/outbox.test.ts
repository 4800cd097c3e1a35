import { afterEach, describe, expect, test } from 'vitest';
import type { Ack } from '../../src/client/index.ts';
import { connected, makeRig, outcome, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => expect(rig.broker.complaints).toEqual([]));

async function offline(): Promise<Awaited<ReturnType<typeof connected>>> {
  const client = await connected(rig);
  rig.broker.reachable = false;
  rig.broker.cut();
  await rig.clock.advance(1);
  return client;
}

describe('a full outbox', () => {
  test('rejects where it was asked to, and takes again once there is room', async () => {
    rig = makeRig({ outbox: { recordsMax: 3, whenFull: 'reject' } });
    const client = await offline();
    const acks = [1, 2, 3].map((value) => client.publish('t', { value }));
    expect(await outcome(client.publish('t', { value: 4 }))).toBe('OUTBOX_FULL');
    await expect(client.publish('t', { value: 4 })).rejects.toMatchObject({ retryable: true });
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    await Promise.all(acks);
    const ack = client.publish('t', { value: 5 });
    await rig.clock.advance(20);
    expect(await outcome(ack)).toMatchObject({ topic: 't' });
  });

  test('lets publishes wait for room, and keeps their order', async () => {
    rig = makeRig({ outbox: { recordsMax: 3 } });
    rig.broker.partitions = 1;
    const client = await offline();
    const acks = [0, 1, 2, 3, 4, 5].map((value) => client.publish('t', { value }));
    expect(client.outstanding).toBe(6);
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    expect((await Promise.all(acks)).map((ack) => ack.offset)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(rig.broker.values('t', 0)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(rig.broker.commands('publish').length).toBeGreaterThan(1);
  });

  test('lets no more wait than it holds', async () => {
    rig = makeRig({ outbox: { recordsMax: 2 } });
    const client = await offline();
    const acks = [1, 2, 3, 4].map((value) => client.publish('t', { value }));
    expect(await outcome(client.publish('t', { value: 5 }))).toBe('OUTBOX_FULL');
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    expect(await Promise.all(acks)).toHaveLength(4);
  });

  test('counts bytes as well as records', async () => {
    rig = makeRig({ outbox: { bytesMax: 1_000, whenFull: 'reject' } });
    const client = await offline();
    const acks = [client.publish('t', { value: 'x'.repeat(600) })];
    expect(await outcome(client.publish('t', { value: 'x'.repeat(600) }))).toBe('OUTBOX_FULL');
    acks.push(client.publish('t', { value: 'x'.repeat(200) }));
    expect(await outcome(client.publish('t', { value: 'x'.repeat(2_000) }))).toBe('RECORD_TOO_LARGE');
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    await Promise.all(acks);
  });

  test('lets none overtake those that wait, though it would fit', async () => {
    rig = makeRig({ outbox: { bytesMax: 1_000 } });
    rig.broker.partitions = 1;
    const client = await offline();
    const acks = ['a'.repeat(600), 'b'.repeat(600), 'c'].map((value) => client.publish('t', { value }));
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    await Promise.all(acks);
    expect(rig.broker.values('t', 0).map((value) => value?.charAt(0))).toEqual(['a', 'b', 'c']);
  });

  test('what is given up on makes room for those that wait', async () => {
    rig = makeRig({ outbox: { recordsMax: 1 } });
    const client = await offline();
    const controller = new AbortController();
    const first = client.publish('t', { value: 1 }, { signal: controller.signal });
    const second = client.publish('t', { value: 2 }, { deadlineMs: 10_000 });
    const third = client.publish('t', { value: 3 }, { deadlineMs: 5 });
    await rig.clock.advance(5);
    expect(await outcome(third)).toBe('OUTBOX_FULL');
    controller.abort();
    expect(await outcome(first)).toBe('ABORTED');
    expect(client.outstanding).toBe(1);
    rig.broker.reachable = true;
    await rig.clock.advance(9_000);
    expect(await outcome(second)).toMatchObject({ offset: 0 });
  });

  test('publishes with deadlines while the broker is away leave nothing behind', async () => {
    rig = makeRig({ outbox: { recordsMax: 100 } });
    const client = await offline();
    for (let round = 0; round < 50; round += 1) {
      const acks = Array.from({ length: 100 }, () => client.publish('t', { value: round }, { deadlineMs: 10 }));
      await rig.clock.advance(10);
      expect(new Set(await Promise.all(acks.map(outcome)))).toEqual(new Set(['TIMEOUT']));
    }
    expect(client.outstanding).toBe(0);
    await client.close();
    expect(rig.clock.timers).toBe(0);
  });
});

describe('a refusal for now', () => {
  const codes = ['DRAINING', 'OVERLOADED', 'DISK_FULL', 'SHARD_FAILED', 'OUTCOME_UNKNOWN', 'INTERNAL'];

  test.each(codes)('%s is sent again after its time, unchanged and in order', async (code) => {
    rig = makeRig();
    rig.broker.partitions = 1;
    let refusals = 0;
    rig.broker.refuse = (command) => {
      if (command['op'] !== 'publish' || command['sequence'] !== 1 || refusals >= 2) return null;
      refusals += 1;
      return { code, retryable: true, retryAfterMs: 700 };
    };
    const client = await connected(rig);
    const warm = client.publish('t', { value: 0 });
    await rig.clock.advance(20);
    await warm;
    const acks: Promise<Ack>[] = [];
    for (const value of [1, 2, 3]) {
      acks.push(client.publish('t', { value }));
      await Promise.resolve();
      await Promise.resolve();
    }
    await rig.clock.advance(10);
    const refusedAt = rig.clock.monotonic();
    expect(await Promise.all(acks.map(outcome))).toEqual(['pending', 'pending', 'pending']);
    await rig.clock.advance(5_000);
    expect((await Promise.all(acks)).map((ack) => ack.offset)).toEqual([1, 2, 3]);
    expect(rig.broker.values('t', 0)).toEqual(['0', '1', '2', '3']);
    const resent = rig.broker.commands('publish').filter((command) => command['sequence'] === 1);
    expect(resent).toHaveLength(3);
    expect(resent[1]?.['at']).toBeGreaterThan(refusedAt + 600);
    expect(new Set(resent.map((command) => command['id'])).size).toBe(1);
  });

  test('nothing is sent again, nor anything new, before all that was sent is answered', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    const client = await connected(rig);
    const warm = client.publish('t', { value: 'warm' });
    await rig.clock.advance(20);
    await warm;
    rig.broker.latencyMs = 50;
    let refusals = 1;
    rig.broker.refuse = (command) => {
      if (command['op'] !== 'publish' || refusals === 0) return null;
      refusals -= 1;
      return { code: 'OVERLOADED', retryable: true, retryAfterMs: 1 };
    };
    const acks: Promise<Ack>[] = [];
    // The first refusal is here at 100, the last answer at 160; the fourth record comes in between.
    for (const value of [1, 2, 3]) {
      acks.push(client.publish('t', { value }));
      await rig.clock.advance(30);
    }
    await rig.clock.advance(30);
    acks.push(client.publish('t', { value: 4 }));
    await rig.clock.advance(1_000);
    expect((await Promise.all(acks)).map((ack) => ack.offset)).toEqual([1, 2, 3, 4]);
    const sequences = rig.broker.commands('publish').map((command) => command['sequence']);
    expect(sequences).toEqual([0, 1, 2, 3, 1, 2, 3, 4]);
  });

  test('without a time it is paced by a full-jitter back-off', async () => {
    rig = makeRig({}, 0.999_999);
    rig.broker.partitions = 1;
    rig.broker.refuse = (command) => (command['op'] === 'publish' ? { code: 'DISK_FULL', retryable: true } : null);
    const client = await connected(rig);
    const ack = client.publish('t', { value: 1 });
    await rig.clock.advance(60_000);
    const times = rig.broker.commands('publish').map((command) => command['at'] as number);
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(waits.slice(0, 6)).toEqual([252, 502, 1002, 2002, 4002, 5002]);
    rig.broker.refuse = () => null;
    await rig.clock.advance(10_000);
    expect(await ack).toMatchObject({ offset: 0, duplicate: false });
  });

  test('one partition is held, the others go on', async () => {
    rig = makeRig();
    rig.broker.refuse = (command) =>
      command['partition'] === 1 ? { code: 'SHARD_FAILED', retryable: true, retryAfterMs: 60_000 } : null;
    const client = await connected(rig);
    const held = client.publish('t', { value: 1, partition: 1 });
    await rig.clock.advance(20);
    const others = [0, 2, 3].map((partition) => client.publish('t', { value: 1, partition }));
    await rig.clock.advance(20);
    await Promise.all(others);
    expect(await outcome(held)).toBe('pending');
    rig.broker.refuse = () => null;
    await rig.clock.advance(60_000);
    await held;
  });

  test('a refusal for good rejects the records of its frame, and what is behind goes on', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    rig.broker.refuse = (command) =>
      command['op'] === 'publish' && command['sequence'] === 1 ? { code: 'BAD_BATCH', retryable: false } : null;
    const client = await connected(rig);
    const results: unknown[] = [];
    for (const value of [0, 1, 2]) {
      const ack = client.publish('t', { value });
      await rig.clock.advance(20);
      results.push(await outcome(ack));
    }
    expect(results).toMatchObject([{ offset: 0 }, 'BAD_BATCH', { offset: 1 }]);
    expect(client.outstanding).toBe(0);
  });
});

describe('a lost connection', () => {
  test('an ack that was lost is asked for again, and the record stands once', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    rig.broker.withholdAck = () => true;
    const client = await connected(rig);
    const acks = [1, 2].map((value) => client.publish('t', { value }));
    await rig.clock.advance(20);
    rig.broker.withholdAck = () => false;
    rig.broker.cut();
    await rig.clock.advance(1_000);
    expect(await Promise.all(acks)).toMatchObject([
      { offset: 0, duplicate: true },
      { offset: 1, duplicate: true },
    ]);
    expect(rig.broker.values('t', 0)).toEqual(['1', '2']);
  });

  test('a frame that the broker no longer takes is refused instead of ending every connection', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    rig.broker.withholdAck = () => true;
    const client = await connected(rig);
    const sent = client.publish('t', { value: 'x'.repeat(5_000) });
    await rig.clock.advance(20);
    const queued = client.publish('u', { value: 'x'.repeat(5_000) });
    rig.broker.cut();
    rig.broker.limits = { ...rig.broker.limits, frameBytes: 4_096 };
    rig.broker.withholdAck = () => false;
    await rig.clock.advance(1_000);
    expect(await outcome(sent)).toBe('OUTCOME_UNKNOWN');
    expect(await outcome(queued)).toBe('RECORD_TOO_LARGE');
  });
});

describe('drain', () => {
  test('takes no more and resolves when the last ack is in', async () => {
    rig = makeRig();
    const client = await offline();
    const ack = client.publish('t', { value: 1 });
    const drained = client.drain();
    expect(await outcome(client.publish('t', { value: 2 }))).toBe('CLOSED');
    expect(await outcome(drained)).toBe('pending');
    rig.broker.reachable = true;
    await rig.clock.advance(20_000);
    await ack;
    expect(await outcome(drained)).toBeUndefined();
    expect(await outcome(client.drain())).toBeUndefined();
  });

  test('rejects when the client is closed first', async () => {
    rig = makeRig();
    const client = await offline();
    const ack = client.publish('t', { value: 1 });
    const drained = client.drain();
    await client.close();
    expect(await outcome(drained)).toBe('CLOSED');
    expect(await outcome(ack)).toBe('CLOSED');
  });
});

describe('close', () => {
  test('tells what was never sent from what may be stored', async () => {
    rig = makeRig();
    rig.broker.partitions = 1;
    rig.broker.withholdAck = () => true;
    const client = await connected(rig);
    const sent = client.publish('t', { value: 1 });
    await rig.clock.advance(20);
    const unsent = client.publish('new', { value: 2 });
    const closing = client.close();
    expect(await outcome(sent)).toBe('OUTCOME_UNKNOWN');
    expect(await outcome(unsent)).toBe('CLOSED');
    await rig.clock.advance(20);
    await closing;
    expect(client.state).toBe('closed');
    expect(client.outstanding).toBe(0);
    expect(rig.broker.sessions.size).toBe(0);
    expect(await outcome(client.publish('t', { value: 3 }))).toBe('CLOSED');
    expect(await outcome(client.topics())).toBe('CLOSED');
    expect(rig.clock.timers).toBe(0);
  });

  test('waits at most a second for a broker that does not answer', async () => {
    rig = makeRig();
    const client = await connected(rig);
    rig.broker.latencyMs = 1_000_000;
    const closing = client.close();
    await rig.clock.advance(999);
    expect(await outcome(closing)).toBe('pending');
    await rig.clock.advance(1);
    expect(await outcome(closing)).toBeUndefined();
  });

  test('is what `await using` does', async () => {
    rig = makeRig();
    rig.broker.latencyMs = 0;
    const client = await connected(rig);
    const disposed = client[Symbol.asyncDispose]();
    await rig.clock.advance(10);
    await disposed;
    expect(client.state).toBe('closed');
  });
});
