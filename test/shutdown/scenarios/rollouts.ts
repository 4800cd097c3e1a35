/** Deploys: a broker is stopped and started again and again under its clients, which go on by themselves. */
import { expect } from 'vitest';
import WebSocket from 'ws';
import { type Client, connect } from '../../../src/client/index.ts';
import { freePort } from '../../support/broker-process.ts';
import { lastReport, pause } from '../../support/broker-rig.ts';
import { GRACE } from '../grace.ts';
import type { Scenario } from '../proof.ts';
import { Site } from '../site.ts';
import { storedIn } from '../stored.ts';

const PARTITIONS = 4;
const TOPIC = 'rollout';
/** Publishes of one producer that may wait for their answer. */
const WINDOW = 64;

function connectTo(url: string): Promise<Client> {
  return connect(url, { WebSocket, backoff: { minMs: 20, maxMs: 200 } });
}

/** Publishes numbered values, a bounded number ahead, until it is told to stop. */
class Producer {
  readonly acked = new Map<string, string>();
  readonly refused: string[] = [];
  #stopping = false;
  readonly #running: Promise<void>;

  constructor(client: Client, name: string) {
    this.#running = this.#publish(client, name);
  }

  finish(): Promise<void> {
    this.#stopping = true;
    return this.#running;
  }

  async #publish(client: Client, name: string): Promise<void> {
    const flying = new Set<Promise<void>>();
    for (let number = 0; !this.#stopping; number += 1) {
      const value = `${name}:${number}`;
      const told = client.publish(TOPIC, { key: `key-${number % 16}`, value }).then(
        ({ partition, offset }) => void this.acked.set(value, `${partition}/${offset}`),
        (error: unknown) => void this.refused.push(`${value}: ${String(error)}`),
      );
      const tracked: Promise<void> = told.finally(() => flying.delete(tracked));
      flying.add(tracked);
      if (flying.size >= WINDOW) await Promise.race(flying);
      if (number % WINDOW === 0) await pause(5);
    }
    await Promise.all(flying);
  }
}

/** Records of a partition between two commits: some are on their way at every restart. */
const COMMIT_EVERY = 20;

/** Reads on from what it has committed, and notes what comes again behind a confirmed commit, or without the mark. */
class Consumer {
  readonly seen = new Set<string>();
  readonly again: string[] = [];
  readonly unmarked: string[] = [];
  /** Delivered twice, the commit of which was not confirmed: that may be. */
  repeated = 0;
  readonly #confirmed = new Map<number, number>();

  async run(client: Client): Promise<void> {
    for await (const record of client.subscribe(TOPIC, { group: 'billing' })) {
      const { partition, offset } = record;
      if (offset < (this.#confirmed.get(partition) ?? 0)) this.again.push(`${partition}/${offset}`);
      const place = `${partition}/${offset}`;
      if (this.seen.has(place)) {
        this.repeated += 1;
        if (!record.redelivered) this.unmarked.push(place);
      }
      this.seen.add(place);
      if (offset % COMMIT_EVERY !== COMMIT_EVERY - 1) continue;
      record.commit().then(
        () => this.#confirmed.set(partition, Math.max(this.#confirmed.get(partition) ?? 0, offset + 1)),
        // Not confirmed: it may come again.
        () => {},
      );
    }
  }
}

const rollouts: Scenario = {
  name: 'rolling restarts under load: nothing lost or stored twice; what was not committed comes again marked, what was does not',
  timeoutMs: () => 240_000,
  run: (size) =>
    Site.run(async (site) => {
      const data = await site.folder();
      const port = await freePort();
      const start = () => site.start({ data, port, flags: GRACE });
      let broker = await start();
      const dial = async (): Promise<Client> => {
        const client = await connectTo(broker.url);
        site.cleanup(() => client.close());
        return client;
      };
      const [first, second] = [await dial(), await dial()];
      let reader = await dial();
      await first.createTopic(TOPIC, { partitions: PARTITIONS });
      const producers = [new Producer(first, 'a'), new Producer(second, 'b')];
      const consumer = new Consumer();
      const consume = (): void => {
        // Ends with its client: by an error, or with its loop.
        consumer.run(reader).catch(() => {});
      };
      consume();
      const ackedNow = () => producers.reduce((sum, { acked }) => sum + acked.size, 0);
      const rounds = size === 'full' ? 10 : 2;
      const times: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const before = [ackedNow(), consumer.seen.size] as const;
        while (ackedNow() < before[0] + 500 || consumer.seen.size < before[1] + 500) await pause(10);
        const asked = performance.now();
        expect((await broker.stop()).code, broker.output).toBe(0);
        times.push(performance.now() - asked);
        expect(await lastReport(data)).toMatchObject({ outcome: 'clean', lost: 0, unknown: 0 });
        // The consumer is deployed with it: the next goes on from what was committed.
        await reader.close();
        broker = await start();
        reader = await dial();
        consume();
      }
      await Promise.all(producers.map((producer) => producer.finish()));
      expect(producers.flatMap(({ refused }) => refused)).toEqual([]);
      while (consumer.seen.size < ackedNow()) await pause(10);
      await Promise.all([first, second, reader].map((client) => client.close()));
      expect((await broker.stop()).code, broker.output).toBe(0);
      const stored = storedIn(data, TOPIC);
      const at = new Map(stored.map(({ partition, offset, value }) => [String(value), `${partition}/${offset}`]));
      const acked = producers.flatMap((producer) => [...producer.acked]);
      const lost = acked.filter(([value, place]) => at.get(value) !== place).length;
      const duplicates = stored.length - at.size;
      const kept = { lost: 0, duplicates: 0, again: [], unmarked: [] };
      expect({ lost, duplicates, again: consumer.again, unmarked: consumer.unmarked }).toEqual(kept);
      const worstMs = Math.max(...times);
      const note =
        `${acked.length} acknowledged; ${consumer.repeated} delivered again, not committed before and ` +
        'marked so; deliveries are not counted in this version, so none can be dead-lettered';
      return [{ scenario: rollouts.name, runs: rounds, worstMs, budgetMs: 4000, lost, unknown: 0, duplicates, note }];
    }),
};

export const deploys: readonly Scenario[] = [rollouts];
