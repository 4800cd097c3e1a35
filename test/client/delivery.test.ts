/**
 * Whatever is cut, refused and withheld on the way: what the broker holds per partition is what was published to it,
 * in that order, each record once, and every promise says so.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Ack, Client } from '../../src/client/index.ts';
import { partitionOfKey } from '../../src/domain/partition.ts';
import { connected, makeRig, type Rig } from './rig.ts';

const text = new TextEncoder();
const refusals = ['DRAINING', 'OVERLOADED', 'DISK_FULL', 'SHARD_FAILED', 'OUTCOME_UNKNOWN'] as const;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), keys: fc.array(fc.nat(5), { maxLength: 12 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), code: fc.constantFrom(1006, 1012, 4100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withhold' as const), count: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('refuse' as const),
      count: fc.nat(4),
      code: fc.constantFrom(...refusals),
      retryAfterMs: fc.option(fc.nat(300), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away' as const), ms: fc.nat(3_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('goaway' as const), reconnectAfterMs: fc.nat(500) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Published {
  readonly partition: number;
  readonly value: string;
  readonly ack: Promise<Ack>;
  settled: number;
}

class Run {
  readonly rig: Rig;
  readonly published: Published[] = [];
  #withhold = 0;
  #refuse = 0;
  #refusal = { code: 'OVERLOADED', retryable: true, retryAfterMs: undefined as number | undefined };

  constructor(latencyMs: number, random: number, inFlightPublishes: number) {
    this.rig = makeRig({ outbox: { recordsMax: 50 } }, random);
    const { broker } = this.rig;
    broker.latencyMs = latencyMs;
    broker.partitions = 3;
    broker.limits = { ...broker.limits, inFlightPublishes };
    broker.withholdAck = () => {
      this.#withhold -= 1;
      return this.#withhold >= 0;
    };
    broker.refuse = (command) => {
      if (command['op'] !== 'publish') return null;
      this.#refuse -= 1;
      if (this.#refuse < 0) return null;
      const { retryAfterMs, ...rest } = this.#refusal;
      return retryAfterMs === undefined ? rest : { ...rest, retryAfterMs };
    };
  }

  async step(client: Client, step: Step): Promise<void> {
    const { clock, broker } = this.rig;
    switch (step.do) {
      case 'publish':
        for (const key of step.keys) this.#publish(client, `key-${key}`);
        return;
      case 'pass':
        await clock.advance(step.ms);
        return;
      case 'cut':
        broker.cut(step.code);
        return;
      case 'withhold':
        this.#withhold = step.count;
        return;
      case 'refuse':
        this.#refuse = step.count;
        this.#refusal = { code: step.code, retryable: true, retryAfterMs: step.retryAfterMs };
        return;
      case 'away':
        broker.reachable = false;
        broker.cut();
        await clock.advance(step.ms);
        broker.reachable = true;
        return;
      case 'goaway':
        broker.goaway({ stage: 'drain', deadlineMs: 200, reconnectAfterMs: step.reconnectAfterMs });
        return;
    }
  }

  #publish(client: Client, key: string): void {
    const value = `${this.published.length}`;
    const ack = client.publish('t', { key, value });
    const published: Published = { partition: partitionOfKey(text.encode(key), 3), value, ack, settled: 0 };
    const settled = (): void => {
      published.settled += 1;
    };
    ack.then(settled, settled);
    this.published.push(published);
  }

  /** The weather clears: what was withheld for good is cut, so that it is asked for again. */
  async clear(): Promise<void> {
    this.#withhold = 0;
    this.#refuse = 0;
    this.rig.broker.reachable = true;
    await this.rig.clock.advance(20_000);
    this.rig.broker.cut();
    await this.rig.clock.advance(60_000);
  }
}

test('what is stored is what was published, in order and once, through any cuts and refusals', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 5, maxLength: 60 }),
    fc.constantFrom(1, 5, 20),
    fc.constantFrom(0.1, 0.5, 0.99),
    fc.constantFrom(1, 2, 1024),
    async (steps, latencyMs, random, inFlightPublishes) => {
      const run = new Run(latencyMs, random, inFlightPublishes);
      const connecting = connected(run.rig);
      await run.rig.clock.advance(1_000);
      const client = await connecting;
      for (const each of steps) await run.step(client, each);
      await run.clear();
      expect(client.outstanding).toBe(0);
      expect(run.rig.broker.complaints).toEqual([]);
      const expected: string[][] = [[], [], []];
      for (const { partition, value, settled } of run.published) {
        expect(settled).toBe(1);
        expected[partition]?.push(value);
      }
      if (run.published.length > 0) {
        expect([0, 1, 2].map((partition) => run.rig.broker.values('t', partition))).toEqual(expected);
      }
      for (const { ack, partition, value } of run.published) {
        const { offset, ...place } = await ack;
        expect(place).toMatchObject({ topic: 't', partition, epoch: 1 });
        expect(run.rig.broker.topics.get('t')?.[partition]?.records[offset]?.value).toBe(value);
      }
    },
  );
  await fc.assert(property, { numRuns: 250 });
}, 120_000);
