/**
 * The independent checker: it shares no code with the broker, reads what the broker writes, and agrees with `sluice
 * verify` and `sluice inspect-log` about directories that are sound, torn and damaged.
 */
import { cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker.ts';
import { inspectLog, verifyDataDirectory } from '../../src/shard/offline.ts';
import { MemoryDisk, MemoryMeta } from '../../src/testing/index.ts';
import { seededRandom } from '../storage/seeded-random.ts';
import { brokerRig } from '../support/broker-rig.ts';
import { Wire } from '../support/wire.ts';
import { readDataDirectory, realFolder, type StoredDirectory } from './data-directory.ts';
import type { DataSource } from './log-reader.ts';

const golden = resolve(import.meta.dirname, '../golden/data-v1');
const { folder, cleanup } = brokerRig();

async function copyOfGolden(): Promise<string> {
  const data = join(await folder(), 'data');
  cpSync(golden, data, { recursive: true });
  return data;
}

/** The last segment of a shard of the golden directory. */
const lastSegment = (data: string, shard = '00'): string => {
  const log = join(data, 'shards', shard, 'log');
  return join(log, readdirSync(log).sort().at(-1) as string);
};

const valuesOf = (stored: StoredDirectory, topic: string, partition: number): (string | null)[] =>
  (stored.topics.get(topic)?.partitions.get(partition)?.records ?? []).map(
    ({ value }) => value?.toString('utf8') ?? null,
  );

/** A disk in memory as a source: what a simulated broker left. */
function memorySource(disk: MemoryDisk, root: string): DataSource {
  return {
    list: (path) => {
      const folderPath = path === '.' ? `${root}/` : `${root}/${path}/`;
      const within = disk.paths.filter((name) => name.startsWith(folderPath));
      return [...new Set(within.map((name) => name.slice(folderPath.length).split('/')[0] as string))];
    },
    read: (path) => disk.bytesOf(`${root}/${path}`),
  };
}

async function agrees(data: string): Promise<StoredDirectory> {
  const stored = readDataDirectory(realFolder(data));
  const verified = await verifyDataDirectory(data);
  const logFaults = verified.faults.filter(({ file }) => file.endsWith('.log') || file.endsWith('log'));
  expect(stored.faults.length > 0, `${stored.faults.join('\n')}\nverify: ${JSON.stringify(verified)}`).toBe(
    logFaults.length > 0,
  );
  if (stored.faults.length > 0) return stored;
  const entries = stored.shards.flatMap(({ shard, entries: own }) =>
    own.map(({ sequence, epoch, body, position }) => ({ shard, sequence, epoch, bytes: body.length, position })),
  );
  const inspected: object[] = [];
  for await (const { shard, sequence, epoch, bytes, address } of inspectLog(data)) {
    inspected.push({ shard, sequence, epoch, bytes, position: address.position });
  }
  expect(entries).toEqual(inspected);
  expect(stored.shards.some(({ tornBytes }) => tornBytes > 0)).toBe(
    verified.notes.some((note) => note.includes('torn')),
  );
  return stored;
}

describe('the checker', () => {
  it('imports nothing of the broker', () => {
    const imported = readdirSync(import.meta.dirname)
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .flatMap((name) => [...readFileSync(join(import.meta.dirname, name), 'utf8').matchAll(/from '([^']+)'/g)])
      .map(([, target]) => target as string);
    expect(imported.length).toBeGreaterThan(5);
    expect(imported.filter((target) => !target.startsWith('node:') && !target.startsWith('./'))).toEqual([]);
  });

  it('reads every record, offset, commit and producer of the golden directory', async () => {
    const stored = await agrees(golden);
    expect(stored.faults).toEqual([]);
    expect([...stored.topics.keys()].sort()).toEqual(['metrics', 'orders']);
    expect(stored.topics.get('orders')).toMatchObject({ count: 2, durability: 'sync' });
    const numbers = (partition: number) =>
      Array.from({ length: 10 }, (_, index) => `{"number":${2 * index + partition}}`);
    expect(valuesOf(stored, 'orders', 0)).toEqual([...numbers(0), null, 'x'.repeat(70_000), '"in the second segment"']);
    expect(valuesOf(stored, 'orders', 1).slice(0, 11)).toEqual([...numbers(1), 'plain']);
    expect(valuesOf(stored, 'metrics', 0)).toEqual(['0', '1', '2']);
    const record = stored.topics.get('orders')?.partitions.get(1)?.records[3];
    expect(record).toMatchObject({ offset: 3, producer: 'golden', sequence: 7, epoch: 1, encoding: 'json' });
    expect(record?.key?.toString()).toBe('k1');
    expect(record?.headers?.toString()).toBe('{"made":"golden"}');
    expect(stored.topics.get('orders')?.partitions.get(1)?.records[11]?.value).toEqual(Buffer.from([0, 255]));
    expect([...stored.commits]).toEqual([['orders/0/billing', 5]]);
    expect(stored.shards.map(({ clean }) => clean)).toEqual([true, true]);
  });

  it('takes what a cut leaves of the last group for torn, at every length', async () => {
    const data = await copyOfGolden();
    const path = lastSegment(data);
    const bytes = readFileSync(path);
    const last = readDataDirectory(realFolder(data)).shards[0]?.entries.at(-1);
    const from = last?.position ?? 0;
    for (let length = from; length < bytes.length; length += 1) {
      truncateSync(path, length);
      const stored = readDataDirectory(realFolder(data));
      expect(stored.faults).toEqual([]);
      expect(stored.shards[0]?.tornBytes).toBe(length - from);
      expect(stored.shards[0]?.clean).toBe(false);
      writeFileSync(path, bytes);
    }
    truncateSync(path, bytes.length - 1);
    await agrees(data);
  });

  it('takes a last segment of at most a header for half made, and a longer one without a header for damage', async () => {
    const data = await copyOfGolden();
    const next = join(data, 'shards/00/log/00000000000000000024.log');
    for (const length of [0, 1, 31, 32]) {
      writeFileSync(next, Buffer.alloc(length));
      expect(readDataDirectory(realFolder(data)).faults).toEqual([]);
    }
    await agrees(data);
    writeFileSync(next, Buffer.alloc(33));
    expect(readDataDirectory(realFolder(data)).faults).toHaveLength(1);
    await agrees(data);
  });

  it('finds every flipped bit before the last group, wherever verify does', async () => {
    const data = await copyOfGolden();
    const stored = readDataDirectory(realFolder(data));
    for (const shard of ['00', '01']) {
      const path = lastSegment(data, shard);
      const bytes = readFileSync(path);
      const until = stored.shards[Number(shard)]?.entries.at(-1)?.position ?? 0;
      for (let bit = 0; bit < until * 8; bit += 97) {
        const damaged = Buffer.from(bytes);
        damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        writeFileSync(path, damaged);
        expect(readDataDirectory(realFolder(data)).faults, `bit ${bit}`).not.toEqual([]);
        if (bit % (97 * 16) === 0) await agrees(data);
      }
      writeFileSync(path, bytes);
    }
    await agrees(data);
  });

  it('finds a segment that is missing, and one that ends too soon', async () => {
    const data = await copyOfGolden();
    const first = join(data, 'shards/00/log/00000000000000000001.log');
    const bytes = readFileSync(first);
    truncateSync(first, bytes.length - 1);
    expect((await agrees(data)).faults).toEqual([expect.stringContaining('entry 20 was due')]);
  });

  it('reads what a broker left in memory, with its topics made anew, deleted and committed', async () => {
    const disk = new MemoryDisk();
    const config = { data: '/data', shards: 3, segmentBytes: 65_536, reserveBytes: 0, logLevel: 'silent' as const };
    const broker = createBroker({ ...config, port: 0, admin: false }, { disk, meta: new MemoryMeta(), lock });
    await broker.start();
    const wire = await Wire.open(`ws://127.0.0.1:${broker.port}/v1`);
    await wire.ask({ op: 'create', topic: 'a', partitions: 3 });
    await wire.ask({ op: 'publish', topic: 'a', partition: 2, value: 'gone', encoding: 'utf8' });
    await wire.ask({ op: 'delete', topic: 'a' });
    await wire.ask({ op: 'create', topic: 'a', partitions: 2, durability: 'async' });
    for (let number = 0; number < 40; number += 1) {
      const value = `${number}:${'x'.repeat(number * 400)}`;
      await wire.ask({ op: 'publish', topic: 'a', partition: number % 2, value, encoding: 'utf8' });
    }
    await wire.ask({ op: 'subscribe', topic: 'a', group: 'g', from: 'earliest', credit: 1 });
    await wire.ask({ op: 'commit', subscription: 1, partition: 1, offset: 9 });
    await wire.close();
    expect((await broker.stop()).outcome).toBe('clean');
    const stored = readDataDirectory(memorySource(disk, '/data'));
    expect(stored.faults).toEqual([]);
    expect(stored.topics.get('a')).toMatchObject({ count: 2, durability: 'async' });
    expect(valuesOf(stored, 'a', 1).map((value) => value?.split(':')[0])).toEqual(
      Array.from({ length: 20 }, (_, index) => String(2 * index + 1)),
    );
    expect([...stored.commits]).toEqual([['a/1/g', 9]]);
    expect(stored.shards.every(({ clean }) => clean)).toBe(true);
  });

  it.each([1, 2, 3])(
    'agrees with verify and inspect-log on the directory of a broker, random history %i',
    async (seed) => {
      const data = join(await folder(), 'data');
      const random = seededRandom(seed).next;
      const acked: { topic: string; partition: number; offset: number; value: string }[] = [];
      for (let run = 0; run < 2; run += 1) {
        const config = { data, shards: 2, segmentBytes: 65_536, reserveBytes: 0, port: 0, logLevel: 'silent' as const };
        const broker = createBroker({ ...config, admin: false });
        await broker.start();
        cleanup(() => broker.stop());
        const wire = await Wire.open(`ws://127.0.0.1:${broker.port}/v1`);
        await Promise.all(
          Array.from({ length: 60 }, async (_, index) => {
            const topic = `t${Math.floor(random() * 3)}`;
            const value = `${run}.${index} ${'v'.repeat(random() * 4000)}`;
            const partition = Math.floor(random() * 4);
            const reply = await wire.ask({ op: 'publish', topic, partition, value, encoding: 'utf8' });
            if (reply['op'] === 'published') acked.push({ topic, partition, offset: reply['offset'] as number, value });
          }),
        );
        await wire.close();
        await broker.stop();
        const stored = await agrees(data);
        for (const { topic, partition, offset, value } of acked) {
          expect(valuesOf(stored, topic, partition)[offset]).toBe(value);
        }
      }
      expect(acked).toHaveLength(120);
      const path = lastSegment(data, '01');
      const bytes = readFileSync(path);
      for (let tries = 0; tries < 20; tries += 1) {
        const damaged = Buffer.from(bytes.subarray(0, bytes.length - Math.floor(random() * 40)));
        for (let flips = Math.floor(random() * 2); flips >= 0; flips -= 1) {
          const at = Math.floor(random() * damaged.length);
          damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
        }
        writeFileSync(path, damaged);
        await agrees(data);
      }
    },
  );
});

const lock = async () => ({ release: async () => {} });
