/**
 * The golden data directory: written by the first version of data format 1, to be opened by every later one, with its
 * derived state and without.
 */
import { cp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerProcess, runCommand, temporaryFolder } from '../support/broker-process.ts';
import { TextClient } from '../support/text-client.ts';

const golden = resolve(import.meta.dirname, 'data-v1');
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function copyOf(): Promise<string> {
  const folder = await temporaryFolder();
  cleanups.push(() => folder.remove());
  const path = join(folder.path, 'data');
  await cp(golden, path, { recursive: true });
  return path;
}

async function serve(data: string): Promise<TextClient> {
  const broker = await BrokerProcess.start({ data, flags: ['--reserve-bytes', '0'] });
  cleanups.push(() => broker.stop('SIGKILL'));
  const client = await TextClient.open(broker.url);
  cleanups.push(() => client.end());
  return client;
}

async function recordsOf(client: TextClient, id: number, topic: string, count: number, more: object = {}) {
  const { subscription } = await client.ask({ op: 'subscribe', id, topic, from: 'earliest', ...more });
  const of = () =>
    client.frames
      .filter((frame) => frame['op'] === 'records' && frame['subscription'] === subscription)
      .flatMap((frame) =>
        (frame['records'] as Record<string, unknown>[]).map((record) => ({ ...record, partition: frame['partition'] })),
      ) as Record<string, unknown>[];
  await expect.poll(() => of().length).toBe(count);
  return of();
}

describe.each([
  ['as it is', false],
  ['without its derived state', true],
])('the golden data directory, %s', (_how, withoutMeta) => {
  it('holds every record, offset, commit and producer', async () => {
    const data = await copyOf();
    if (withoutMeta)
      for (const shard of ['00', '01']) await rm(join(data, 'shards', shard, 'meta'), { recursive: true });
    const client = await serve(data);

    const { topics } = (await client.ask({ op: 'topics', id: 1 })) as unknown as { topics: object[] };
    expect(topics).toEqual([
      { topic: 'metrics', partitions: 1, durability: 'async', retention: { ms: null, bytes: null } },
      { topic: 'orders', partitions: 2, durability: 'sync', retention: { ms: null, bytes: null } },
    ]);

    const orders = await recordsOf(client, 2, 'orders', 25);
    const of = (partition: number) => orders.filter((record) => record['partition'] === partition);
    for (const partition of [0, 1]) {
      expect(of(partition).map(({ offset }) => offset)).toEqual(of(partition).map((_record, index) => index));
      for (let index = 0; index < 10; index += 1) {
        const number = 2 * index + partition;
        expect(of(partition)[index]).toMatchObject({
          key: `k${number % 3}`,
          value: { number },
          headers: { made: 'golden' },
        });
      }
    }
    expect(of(0)[10]).toMatchObject({ key: 'k0' });
    expect(of(0)[10]).not.toHaveProperty('value');
    expect(of(0)[11]).toMatchObject({ value: 'x'.repeat(70_000), encoding: 'utf8' });
    expect(of(0)[12]).toMatchObject({ value: 'in the second segment' });
    expect(of(1)[10]).toMatchObject({ value: 'plain', encoding: 'utf8' });
    expect(of(1)[11]).toMatchObject({ value: 'AP8=', encoding: 'base64' });
    expect((await recordsOf(client, 3, 'metrics', 3)).map(({ value }) => value)).toEqual([0, 1, 2]);

    const resumed = await client.ask({
      op: 'subscribe',
      id: 4,
      topic: 'orders',
      group: 'billing',
      partition: 0,
      credit: 1,
    });
    expect(resumed).toMatchObject({ partitions: [{ partition: 0, offset: 5 }] });

    await client.ask({ op: 'hello', id: 5, producer: 'golden' });
    expect(await client.ask({ op: 'producer', id: 6, topic: 'orders' })).toMatchObject({
      partitions: [
        { partition: 0, sequence: 18 },
        { partition: 1, sequence: 19 },
      ],
    });
    const resent = {
      op: 'publish',
      id: 7,
      topic: 'orders',
      partition: 0,
      sequence: 4,
      key: 'k1',
      value: { number: 4 },
    };
    expect(await client.ask(resent)).toMatchObject({ op: 'published', offset: 2, duplicate: true });
  });

  it('is found sound by verify', async () => {
    const verified = await runCommand(['verify', await copyOf()]);
    expect(verified.code, verified.stdout.toString()).toBe(0);
  });
});
