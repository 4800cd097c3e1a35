/**
 * `kill -9` at random moments under load, again and again on one data directory: no acknowledged record is lost, none
 * is stored twice, and the order of every producer on every partition is kept (S1, S3, S4, S6). A few cycles here;
 * `npm run proof:kill` runs fifty.
 */
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { type Client, connect } from '../../src/client/index.ts';
import { BrokerProcess, freePort, runCommand, temporaryFolder } from '../support/broker-process.ts';

const CYCLES = Number(process.env['KILL_CYCLES'] ?? 6);
const PRODUCERS = 4;
const PARTITIONS = 4;
const TOPIC = 'kill.cycles';

interface Acked {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe(`${CYCLES} kill -9 cycles under load`, () => {
  it('lose no acknowledged record, store none twice, keep every order', {
    timeout: 30_000 + CYCLES * 5000,
  }, async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const port = await freePort();
    const start = () => BrokerProcess.start({ data: folder.path, port });
    let broker = await start();
    cleanups.push(() => broker.stop('SIGKILL'));
    const load = new Load(broker.url);
    await load.begin();
    cleanups.push(() => load.end());

    for (let cycle = 0; cycle < CYCLES; cycle += 1) {
      const ackedBefore = load.acked.length;
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400));
      await broker.stop('SIGKILL');
      broker = await start();
      await load.ackedAtLeast(ackedBefore + 1);
    }

    await load.finish();
    const stored = await readAll(broker.url);
    expect(load.refusals).toEqual([]);
    expect(load.acked.length).toBeGreaterThan(CYCLES * 50);
    checkAcked(load.acked, stored);
    checkOrder(stored);
    expect((await broker.stop('SIGTERM')).code).toBe(0);
    const verified = await runCommand(['verify', folder.path]);
    expect(verified.code, verified.stdout.toString() + verified.stderr).toBe(0);
  });
});

/** Producers that publish numbered values as fast as they are acknowledged, a bounded number ahead. */
class Load {
  readonly acked: Acked[] = [];
  readonly refusals: string[] = [];
  readonly #url: string;
  #clients: Client[] = [];
  #running: Promise<void>[] = [];
  #stopping = false;

  constructor(url: string) {
    this.#url = url;
  }

  async begin(): Promise<void> {
    for (let producer = 0; producer < PRODUCERS; producer += 1) {
      const client = await connectNode(this.#url);
      this.#clients.push(client);
      if (producer === 0) await client.createTopic(TOPIC, { partitions: PARTITIONS });
      this.#running.push(this.#publish(client, producer));
    }
  }

  async #publish(client: Client, producer: number): Promise<void> {
    const flying = new Set<Promise<void>>();
    for (let number = 0; !this.#stopping; number += 1) {
      const value = `${producer}:${number}`;
      const key = `key-${number % 16}`;
      const publish = client.publish(TOPIC, { key, value }).then(
        ({ partition, offset }) => {
          this.acked.push({ partition, offset, value });
        },
        (error: unknown) => {
          this.refusals.push(`${value}: ${String(error)}`);
        },
      );
      const tracked: Promise<void> = publish.finally(() => flying.delete(tracked));
      flying.add(tracked);
      if (flying.size >= 64) await Promise.race(flying);
    }
    await Promise.all(flying);
  }

  async ackedAtLeast(count: number): Promise<void> {
    while (this.acked.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async finish(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#running);
  }

  async end(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

function connectNode(url: string): Promise<Client> {
  return connect(url, { WebSocket, backoff: { minMs: 10, maxMs: 200 } });
}

/** Everything in the topic, by partition, in offset order. */
async function readAll(url: string): Promise<Map<number, { offset: number; value: string }[]>> {
  const client = await connectNode(url);
  const { state } = await client.describe(TOPIC);
  let left = state.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
  const stored = new Map<number, { offset: number; value: string }[]>();
  for await (const record of client.subscribe(TOPIC, { from: 'earliest' })) {
    const records = stored.get(record.partition) ?? [];
    stored.set(record.partition, records);
    records.push({ offset: record.offset, value: record.text() });
    left -= 1;
    if (left === 0) break;
  }
  await client.close();
  return stored;
}

function checkAcked(
  acked: readonly Acked[],
  stored: ReadonlyMap<number, readonly { offset: number; value: string }[]>,
): void {
  const lost = acked.filter(({ partition, offset, value }) => stored.get(partition)?.[offset]?.value !== value);
  expect(lost).toEqual([]);
  const places = new Set(acked.map(({ partition, offset }) => `${partition}/${offset}`));
  expect(places.size).toBe(acked.length);
}

function checkOrder(stored: ReadonlyMap<number, readonly { offset: number; value: string }[]>): void {
  const seen = new Set<string>();
  for (const records of stored.values()) {
    const last = new Map<string, number>();
    records.forEach(({ offset, value }, index) => {
      expect(offset).toBe(index);
      expect(seen.has(value), `${value} is stored twice`).toBe(false);
      seen.add(value);
      const [producer, number] = value.split(':') as [string, string];
      expect(Number(number)).toBeGreaterThan(last.get(producer) ?? -1);
      last.set(producer, Number(number));
    });
  }
}
