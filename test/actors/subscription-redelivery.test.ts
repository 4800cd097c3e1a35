/** What a group was given and did not commit comes again marked, where the broker can know it. */
import { describe, expect, it } from 'vitest';
import { connect, type SluiceRecord } from '../../src/client/index.ts';
import { memoryWebSocket } from '../../src/testing/memory-websocket.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import { holdCalls } from '../broker/disk-fault.ts';
import { Rig, seededRandom, topicOn, turns } from '../broker/rig.ts';
import { upTo, type WireClient } from '../broker/wire-client.ts';

const orders = topicOn(0);

/** Five records on one partition. */
async function start(): Promise<Rig> {
  const rig = await Rig.start();
  const client = await rig.client();
  await client.create(orders, { partitions: 1 });
  await client.publishAll(orders, 0, upTo(5));
  return rig;
}

async function consumer(rig: Rig, credit = 100): Promise<WireClient> {
  const client = await rig.client();
  await client.ask({ op: 'subscribe', topic: orders, group: 'billing', credit });
  await turns();
  return client;
}

const commit = (client: WireClient, offset: number) =>
  client.ask({ op: 'commit', subscription: 1, partition: 0, offset });

/** Of each record that came: its offset, and whether its delivery marks it. */
const marks = (client: WireClient): [offset: number, marked: boolean][] =>
  client
    .of('records')
    .flatMap(({ records, redeliveredBefore = 0 }) =>
      records.map(({ offset }: { offset: number }) => [offset, offset < redeliveredBefore]),
    );

describe('a delivery that was interrupted', () => {
  it('by a shutdown comes again marked, and what was never given does not', async () => {
    const rig = await start();
    const first = await consumer(rig, 3);
    expect(first.delivered().get(0)).toEqual([0, 1, 2]);
    await commit(first, 1);
    expect(await rig.restart()).toMatchObject({ outcome: 'clean' });
    const again = await consumer(rig);
    expect(again.delivered().get(0)).toEqual([1, 2, 3, 4]);
    expect(marks(again)).toEqual([
      [1, true],
      [2, true],
      [3, false],
      [4, false],
    ]);
    await rig.stop();
  });

  it('by the end of its connection comes again marked to the next of the group, and to no other group', async () => {
    const rig = await start();
    const first = await consumer(rig, 2);
    first.socket.cut();
    await turns();
    expect(marks(await consumer(rig, 3))).toEqual([
      [0, true],
      [1, true],
      [2, false],
    ]);
    const other = await rig.client();
    await other.ask({ op: 'subscribe', topic: orders, group: 'audit' });
    await turns();
    expect(marks(other).map(([, marked]) => marked)).toEqual([false, false, false, false, false]);
    await rig.stop();
  });

  it('comes again marked also when the next reader is there before the mark is written', async () => {
    const rig = await start();
    const first = await consumer(rig, 2);
    const next = await rig.client();
    const hold = rig.holdWrites('/log/');
    first.socket.cut();
    await turns();
    await next.ask({ op: 'subscribe', topic: orders, group: 'billing', credit: 3 });
    await turns();
    expect(hold.waiting).toBe(1);
    const told = [
      [0, true],
      [1, true],
      [2, false],
    ];
    expect(marks(next)).toEqual(told);
    hold.release();
    await turns();
    next.socket.cut();
    await turns();
    expect(marks(await consumer(rig, 4)).map(([, marked]) => marked)).toEqual([true, true, true, false]);
    await rig.stop();
  });

  it('by the word of the drain stays undelivered, though its read was under way, and comes with the cancelled drain', async () => {
    const rig = await Rig.start({ recentBytes: 64 * 1024 });
    const client = await rig.client();
    await client.create(orders, { partitions: 1 });
    const big = 'x'.repeat(30_000);
    for (let n = 0; n < 8; n += 1) await client.ask({ op: 'publish', topic: orders, partition: 0, value: big });
    const hold = holdCalls(rig.disk, 'read', '/log/');
    const reader = await consumer(rig);
    expect(hold.waiting).toBe(1);
    rig.broker.drain('test');
    await turns();
    expect(reader.of('goaway').at(-1)).toMatchObject({ stage: 'drain' });
    hold.release();
    await turns();
    expect(marks(reader)).toEqual([]);
    rig.broker.cancelDrain();
    await rig.pass(100);
    expect(marks(reader).map(([offset]) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    await rig.stop();
  });

  it('is forgotten once it is committed, in the saved state too', async () => {
    const rig = await start();
    const first = await consumer(rig, 3);
    await commit(first, 1);
    await rig.restart();
    const second = await consumer(rig);
    await commit(second, 5);
    await rig.restart();
    const producer = await rig.client();
    await producer.publishAll(orders, 0, [5]);
    expect(marks(await consumer(rig))).toEqual([[5, false]]);
    await rig.stop();
  });

  it('bears the mark in the state rebuilt from the log alone', async () => {
    const rig = await start();
    await consumer(rig, 3);
    await rig.stop();
    await rig.meta.destroy('/memory/data/shards/00/meta');
    await rig.again();
    expect(marks(await consumer(rig, 4)).map(([, marked]) => marked)).toEqual([true, true, true, false]);
    await rig.stop();
  });

  it('of a broker that was killed has none: it is forgotten whom it gave what', async () => {
    const rig = await start();
    await consumer(rig, 3);
    await rig.crash();
    const again = await consumer(rig, 3);
    expect(again.delivered().get(0)).toEqual([0, 1, 2]);
    expect(marks(again).map(([, marked]) => marked)).toEqual([false, false, false]);
    await rig.stop();
  });

  it('is told by our client record by record', async () => {
    const rig = await start();
    await consumer(rig, 3);
    await rig.restart();
    const clock = new SimulatedClock();
    const random = seededRandom(5);
    const WebSocket = memoryWebSocket(({ port: _, ...dialled }) => rig.network.dial(dialled));
    const connecting = connect('ws://memory:7070/v1', { WebSocket, clock, random: () => random.next() });
    await rig.pass(100);
    const client = await connecting;
    const seen: SluiceRecord[] = [];
    void (async () => {
      for await (const record of client.subscribe(orders, { group: 'billing' })) seen.push(record);
    })();
    await rig.pass(200);
    expect(seen.map(({ offset, redelivered }) => [offset, redelivered])).toEqual([
      [0, true],
      [1, true],
      [2, true],
      [3, false],
      [4, false],
    ]);
    const closing = client.close();
    await rig.pass(100);
    await closing;
    await rig.stop();
  });
});

describe('ten rollouts', () => {
  it('mark what they interrupt, lose nothing, and give nothing committed again', async () => {
    const rig = await start();
    let committed = 0;
    const given = new Map<number, boolean[]>();
    for (let rollout = 0; rollout < 10; rollout += 1) {
      const client = await consumer(rig, 2);
      for (const [offset, marked] of marks(client)) {
        expect(offset).toBeGreaterThanOrEqual(committed);
        given.set(offset, [...(given.get(offset) ?? []), marked]);
      }
      if (rollout % 3 === 2) {
        committed += 1;
        await commit(client, committed);
      }
      await rig.restart();
    }
    // The first time plain, every later time marked.
    for (const times of given.values()) expect(times).toEqual(times.map((_, time) => time > 0));
    expect([...given.keys()]).toEqual([0, 1, 2, 3, 4]);
    await rig.stop();
  });
});
