/** A broker process on a disk that fails or fills while it serves: what its clients hear, and what is there afterwards. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BrokerProcess, runCommand, temporaryFolder } from '../support/broker-process.ts';
import { canInjectFaults, DiskFaults } from '../support/disk-faults.ts';
import { type Frame, TextClient } from '../support/text-client.ts';

/** The least that the budget takes: 4 s for the shutdown. */
const GRACE = ['--grace-period-ms', '6s'];
const PARTITIONS = [0, 1, 2, 3];

describe.skipIf(!canInjectFaults())('a broker on a failing disk', { timeout: 60_000 }, () => {
  let faults: DiskFaults;
  let data: Awaited<ReturnType<typeof temporaryFolder>>;
  const cleanups: (() => Promise<unknown> | unknown)[] = [];

  beforeEach(async () => {
    faults = new DiskFaults();
    data = await temporaryFolder();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    faults.remove();
    await data.remove();
  });

  async function start(flags: readonly string[] = [], env: Record<string, string> = {}): Promise<BrokerProcess> {
    const broker = await BrokerProcess.start({
      data: data.path,
      flags: [...GRACE, ...flags],
      env: { ...faults.env, ...env },
    });
    cleanups.push(() => broker.stop('SIGKILL'));
    return broker;
  }

  async function connect(broker: BrokerProcess): Promise<TextClient> {
    const client = await TextClient.open(broker.url);
    cleanups.push(() => client.end());
    return client;
  }

  /** One acknowledged record on each partition, and so in each shard. */
  async function publishEverywhere(client: TextClient, from: number): Promise<Frame[]> {
    return Promise.all(
      PARTITIONS.map((partition) =>
        client.ask({ op: 'publish', id: from + partition, topic: 'orders', partition, value: from + partition }),
      ),
    );
  }

  /** The shard of a partition, by what its log says. */
  async function shardOf(partition: number): Promise<string> {
    const lines = (await runCommand(['inspect-log', data.path, '--json'])).stdout.toString().trim().split('\n');
    const open = lines
      .map((line) => JSON.parse(line) as { shard: number; kind: string; text: string })
      .find(({ kind, text }) => kind === 'partition' && text.includes(`"partition":${partition},`));
    return String(open?.shard).padStart(2, '0');
  }

  async function stopAndTime(broker: BrokerProcess): Promise<{ ms: number; report: Record<string, unknown> }> {
    const began = performance.now();
    await broker.stop('SIGTERM');
    const ms = performance.now() - began;
    return {
      ms,
      report: JSON.parse(readFileSync(join(data.path, 'last-shutdown.json'), 'utf8')) as Record<string, unknown>,
    };
  }

  async function readAll(): Promise<Map<string, number>> {
    faults.clear();
    const broker = await start();
    const client = await connect(broker);
    const { state } = (await client.ask({ op: 'describe', id: 1, topic: 'orders' })) as unknown as {
      state: { highWatermark: number }[];
    };
    const expected = state.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
    client.send({ op: 'subscribe', id: 2, topic: 'orders', from: 'earliest' });
    const stored = new Map<string, number>();
    while (stored.size < expected) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      for (const frame of client.frames.filter(({ op }) => op === 'records')) {
        for (const { offset, value } of frame['records'] as { offset: number; value: number }[]) {
          stored.set(`${frame['partition']}/${offset}`, value);
        }
      }
    }
    expect((await broker.stop()).code).toBe(0);
    return stored;
  }

  it('EIO on every write of one shard: it fails alone, at once, and the exit code says so', async () => {
    const broker = await start();
    const client = await connect(broker);
    await publishEverywhere(client, 100);
    const shard = await shardOf(0);
    faults.set(['write', `shards/${shard}/log`, 'EIO'], ['open', `shards/${shard}/log`, 'EIO']);
    const refused = await client.ask({ op: 'publish', id: 200, topic: 'orders', partition: 0, value: 200 });
    expect(refused).toMatchObject({ op: 'error', code: 'OUTCOME_UNKNOWN', retryable: true });
    expect(await client.ask({ op: 'publish', id: 201, topic: 'orders', partition: 0, value: 1 })).toMatchObject({
      code: 'SHARD_FAILED',
    });
    expect(await client.ask({ op: 'publish', id: 202, topic: 'orders', partition: 1, value: 202 })).toMatchObject({
      op: 'published',
    });
    const ready = (await (await fetch(`${broker.adminUrl}/readyz`)).json()) as { degraded: string[] };
    expect(ready.degraded[0]).toContain(`shard-${shard}`);
    const { report } = await stopAndTime(broker);
    expect(await broker.exited).toEqual({ code: 21, signal: null });
    expect(report).toMatchObject({ outcome: 'failed', exitCode: 21 });
    expect((await readAll()).get('1/1')).toBe(202);
  });

  it('a transient EIO costs no client anything: the group is written again in a fresh segment', async () => {
    const broker = await start();
    const client = await connect(broker);
    await publishEverywhere(client, 100);
    const shard = await shardOf(0);
    faults.set(['write', `shards/${shard}/log/00000000000000000001.log`, 'EIO']);
    expect(await client.ask({ op: 'publish', id: 200, topic: 'orders', partition: 0, value: 200 })).toMatchObject({
      op: 'published',
      offset: 1,
    });
    expect(await client.ask({ op: 'publish', id: 201, topic: 'orders', partition: 0, value: 201 })).toMatchObject({
      op: 'published',
      offset: 2,
    });
    faults.clear();
    expect((await broker.stop()).code).toBe(0);
    const stored = await readAll();
    expect([stored.get('0/1'), stored.get('0/2')]).toEqual([200, 201]);
    const verified = await runCommand(['verify', data.path]);
    expect(verified.code, verified.stdout.toString()).toBe(0);
  });

  it('a full disk whose space comes back: publishers wait or are refused, and what was admitted is written', async () => {
    const broker = await start(['--reserve-bytes', '0']);
    const client = await connect(broker);
    await publishEverywhere(client, 100);
    faults.set(['write', 'shards/', 'ENOSPC'], ['open', 'shards/', 'ENOSPC']);
    const pending = publishEverywhere(client, 200);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await client.ask({ op: 'publish', id: 300, topic: 'orders', partition: 0, value: 300 })).toMatchObject({
      code: 'DISK_FULL',
      retryable: true,
    });
    faults.clear();
    for (const reply of await pending) expect(reply).toMatchObject({ op: 'published' });
    await expect
      .poll(() => client.ask({ op: 'publish', id: Math.random(), topic: 'orders', partition: 0, value: 400 }), {
        timeout: 10_000,
      })
      .toMatchObject({ op: 'published' });
    expect((await broker.stop()).code).toBe(0);
  });
});
