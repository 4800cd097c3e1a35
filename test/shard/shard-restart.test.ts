/** A shard is a function of its log: what a checkpoint and a replay find equals what a full replay finds, always. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Topic } from '../../src/domain/topic.ts';
import type { ShardState } from '../../src/shard/shard-state.ts';
import type { MemoryMetaDisk } from '../../src/testing/memory-meta.ts';
import { seededRandom } from '../storage/seeded-random.ts';
import { META_DIRECTORY, type Outcome, quiet, ShardRig, topic } from './shard-rig.ts';

const topics: readonly Topic[] = [topic('a'), topic('b', 'async'), topic('c')];

const metaFaults = ['none', 'lost', 'behind', 'unsynced', 'stale', 'damaged'] as const;
type MetaFault = (typeof metaFaults)[number];

const place = { topic: fc.nat({ max: 2 }), partition: fc.nat({ max: 2 }) };
const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('publish' as const),
      ...place,
      count: fc.integer({ min: 1, max: 3 }),
      bytes: fc.nat({ max: 900 }),
      producer: fc.option(fc.nat({ max: 2 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('resend' as const), back: fc.nat({ max: 8 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('commit' as const),
      ...place,
      group: fc.nat({ max: 2 }),
      back: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('close' as const), topic: fc.nat({ max: 2 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('catalogue' as const), name: fc.nat({ max: 3 }), create: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.nat({ max: 30 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('restart' as const),
      how: fc.constantFrom('clean' as const, 'none' as const, 'all' as const, 'torn' as const),
      meta: fc.constantFrom(...metaFaults),
      seed: fc.nat(),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

interface Sent {
  readonly of: Topic;
  readonly partition: number;
  readonly texts: readonly string[];
  readonly producer: { readonly id: string; readonly sequence: number } | null;
  readonly outcome: Outcome;
}

class Life {
  readonly rig: ShardRig;
  /** A topic that is closed comes back under another id. */
  readonly topics = [...topics];
  sent: Sent[] = [];
  readonly commits: { readonly key: string; readonly offset: number; readonly outcome: { is: unknown } }[] = [];
  readonly #sequences = new Map<string, number>();
  #ids = 5000;
  /** Index rows may have gone missing unseen: a read may say so, but never give another record. */
  restarts = 0;

  constructor(rig: ShardRig) {
    this.rig = rig;
  }

  async run(step: Operation): Promise<void> {
    switch (step.op) {
      case 'publish':
        return this.#publish(step);
      case 'resend':
        return this.#resend(step.back);
      case 'commit':
        return this.#commit(step);
      case 'close':
        return this.#close(step.topic);
      case 'catalogue':
        return this.#catalogue(`t${step.name}`, step.create);
      case 'wait':
        await this.rig.clock.advance(step.ms);
        return quiet();
      case 'restart':
        return this.#restart(step.how, step.meta, step.seed);
    }
  }

  #topic(index: number): Topic {
    return this.topics[index] as Topic;
  }

  #publish(step: Operation & { op: 'publish' }): void {
    const of = this.#topic(step.topic);
    const texts = Array.from({ length: step.count }, (_, at) => `${this.sent.length}.${at} `.padEnd(step.bytes, '-'));
    const key = `${of.id}/${step.partition}/${step.producer}`;
    const sequence = this.#sequences.get(key) ?? 0;
    const producer = step.producer === null ? null : { id: `p${step.producer}`, sequence };
    this.#sequences.set(key, sequence + step.count);
    const outcome = this.rig.publish(of, step.partition, texts, producer);
    this.sent.push({ of, partition: step.partition, texts, producer, outcome });
  }

  #resend(back: number): void {
    const sent = this.sent[this.sent.length - 1 - back];
    if (sent === undefined || sent.producer === null || !this.topics.includes(sent.of)) return;
    const { of, partition, texts, producer } = sent;
    const outcome = this.rig.publish(of, partition, texts, producer);
    // A crash may have cost an async one: it is stored anew then.
    if (
      of.durability === 'sync' &&
      outcome.is !== null &&
      'offset' in outcome.is &&
      sent.outcome.is !== null &&
      'offset' in sent.outcome.is
    ) {
      expect(outcome.is.offset).toBe(sent.outcome.is.offset);
    }
    // Lost before, it may be stored now.
    this.sent.push({ of, partition, texts, producer, outcome });
  }

  #commit(step: Operation & { op: 'commit' }): void {
    const of = this.#topic(step.topic);
    const partition = this.rig.partition(of, step.partition);
    const offset = Math.max(0, partition.durable - step.back);
    const outcome = this.rig.commit(partition, `g${step.group}`, offset);
    this.commits.push({ key: `${partition.handle}/g${step.group}`, offset, outcome });
  }

  async #close(index: number): Promise<void> {
    const of = this.#topic(index);
    await this.rig.engine.closeTopic(of.id);
    this.#ids += 1;
    this.topics[index] = { ...of, id: this.#ids };
  }

  async #catalogue(name: string, create: boolean): Promise<void> {
    const { engine } = this.rig;
    const known = engine.state.topics.get(name);
    if (create && known === undefined) {
      const id = engine.state.takeHandle() * 256;
      await engine.changeTopic({ change: 'create', topic: { ...topic(name), id } });
    } else if (!create && known !== undefined) {
      await engine.changeTopic({ change: 'delete', name, id: known.id });
    }
  }

  async #restart(how: 'clean' | 'none' | 'all' | 'torn', fault: MetaFault, seed: number): Promise<void> {
    const { rig } = this;
    this.restarts += 1;
    if (how === 'clean') await rig.stop();
    await rig.crash(
      how === 'torn' ? { keep: how, random: seededRandom(seed) } : { keep: how === 'all' ? 'all' : 'none' },
    );
    harm(rig.meta.disk(META_DIRECTORY), fault, seed);
    const twin = new ShardRig();
    twin.disk = rig.disk.crash({ keep: 'none' });
    twin.clock = rig.clock;
    await rig.start();
    await twin.start();
    expect(plain(rig.engine.state)).toEqual(plain(twin.engine.state));
    expect(rig.recovered?.clean).toBe(how === 'clean');
    expect(rig.engine.state.nextHandle).toBeGreaterThanOrEqual(twin.engine.state.nextHandle);
    await this.#check(twin);
  }

  /** All that was acknowledged and may not be lost is there, once and in order; readers of both see the same. */
  async #check(twin: ShardRig): Promise<void> {
    const { rig } = this;
    for (const { topicId, partition: number, topic: name } of rig.engine.state.partitions.values()) {
      const of = this.topics.find(({ id }) => id === topicId);
      if (of === undefined) continue;
      const found = await twin.records(of, number, 0, 3000);
      expect(await rig.records(of, number, 0, 50_000)).toEqual(found);
      expect(found.map(({ offset }) => offset)).toEqual(found.map((_, offset) => offset));
      expect([name, new Set(found.map(({ value }) => value)).size]).toEqual([name, found.length]);
      if (of.durability === 'async') continue;
      for (const sent of this.sent) {
        const { is } = sent.outcome;
        if (sent.of !== of || sent.partition !== number || is === null || !('offset' in is)) continue;
        expect(found.slice(is.offset, is.offset + sent.texts.length).map(({ value }) => value)).toEqual(sent.texts);
      }
    }
    for (const { key, offset, outcome } of this.commits) {
      if (outcome.is !== 'committed' || !rig.engine.state.partitions.has(Number(key.split('/')[0]))) continue;
      expect(rig.engine.state.offsets.get(key)).toBeGreaterThanOrEqual(offset);
    }
  }
}

function harm(meta: MemoryMetaDisk, fault: MetaFault, seed: number): void {
  const { batchCount } = meta;
  if (fault === 'lost') meta.clear();
  if (fault === 'behind') meta.loseLast(1 + (seed % 3));
  if (fault === 'unsynced') meta.loseUnsynced();
  if (fault === 'stale' && batchCount > 0) meta.makeStale(seed % batchCount);
  // Index rows, the last in key order, are checked when they are read and not at the start.
  const checked = [...meta.rows().keys()].filter((key) => !key.startsWith('03')).length;
  if (fault === 'damaged' && checked > 0) meta.flipBit(seed % checked, 'value', seed % 64);
}

/** The state as plain data; what may differ between two ways to the same state is left out. */
function plain(state: ShardState): unknown {
  const { applied, epoch, clean } = state;
  return {
    applied,
    epoch,
    clean,
    topics: sorted(state.topics),
    partitions: sorted(state.partitions).map(([handle, partition]) => {
      const {
        topic: name,
        topicId,
        partition: number,
        durability,
        epochs,
        start,
        durable,
        accepted,
        closed,
      } = partition;
      return { handle, name, topicId, number, durability, epochs, start, durable, accepted, closed };
    }),
    offsets: sorted(state.offsets),
    producers: sorted(state.producers).map(([key, window]) => [key, window.toNumbers()]),
  };
}

function sorted<K, V>(map: ReadonlyMap<K, V>): [K, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('a shard that restarts', () => {
  test('is what its log says, with its checkpoint or without, whatever became of the meta store', async () => {
    let restarts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 10, maxLength: 60 }), async (steps) => {
        const rig = await ShardRig.open({ segmentBytes: 3000, limits: { checkpointBytes: 2000, recentBytes: 2000 } });
        const life = new Life(rig);
        for (const step of steps) await life.run(step);
        await life.run({ op: 'restart', how: 'none', meta: 'none', seed: 1 });
        expect(rig.faults).toEqual([]);
        restarts += life.restarts;
      }),
      { numRuns: 120, seed: 20_260_101 },
    );
    expect(restarts).toBeGreaterThan(200);
  });

  test('replays what lies behind its checkpoint and no more', async () => {
    const rig = await ShardRig.open({ limits: { checkpointBytes: 20_000 } });
    for (let index = 0; index < 100; index += 1) {
      rig.publish(topics[0] as Topic, 0, [`${index}`.padEnd(500)]);
      await quiet();
    }
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(rig.recovered?.replayed).toBeGreaterThan(0);
    expect(rig.recovered?.replayed).toBeLessThan(45);
    await rig.stop();
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(rig.recovered).toEqual({ replayed: 1, clean: true });
  });

  // Fails while a checkpoint may still follow the last one and cover the clean mark: `Checkpointer.finish` has to stop it.
  test('knows a clean shutdown, however near its last checkpoint was to the next one', async () => {
    for (let bytes = 1500; bytes <= 2000; bytes += 20) {
      const rig = await ShardRig.open({ limits: { checkpointBytes: 2000 } });
      rig.publish(topics[1] as Topic, 0, ['x'.repeat(bytes)]);
      await rig.stop();
      await rig.crash({ keep: 'none' });
      await rig.start();
      expect([bytes, rig.recovered]).toEqual([bytes, { replayed: 1, clean: true }]);
      expect(rig.partition(topics[1] as Topic, 0).epoch).toBe(1);
    }
  });

  test('says why it threw its meta store away', async () => {
    const rig = await ShardRig.open({ limits: { checkpointBytes: 1000 } });
    for (let index = 0; index < 20; index += 1) {
      rig.publish(topics[0] as Topic, 0, [`${index}`.padEnd(500)]);
      await quiet();
    }
    await rig.crash({ keep: 'none' });
    rig.meta.disk(META_DIRECTORY).flipBit(0, 'value', 3);
    await rig.start();
    expect(rig.opened?.rebuilt).toEqual(expect.any(String));
    expect(rig.logger.messages('warn')).toHaveLength(1);
    expect(await rig.values(topics[0] as Topic, 0)).toHaveLength(20);
  });

  test('opens a new epoch in every partition when the log came back shorter than its checkpoint had seen it', async () => {
    const rig = await ShardRig.open();
    const of = topics[0] as Topic;
    rig.publish(of, 0, ['kept']);
    await quiet();
    const earlier = rig.disk.crash({ keep: 'none' });
    rig.publish(of, 0, ['lost by a disk that lied']);
    await quiet();
    await rig.engine.checkpoint();
    await rig.crash({ keep: 'none' });
    rig.disk = earlier;
    await rig.start();
    expect(rig.opened?.shorter).toBe(true);
    expect(rig.partition(of, 0).epochs).toEqual([
      { epoch: 1, start: 0 },
      { epoch: 2, start: 1 },
    ]);
    expect(rig.log.epoch).toBe(2);
    rig.publish(of, 0, ['new']);
    await quiet();
    expect((await rig.records(of, 0)).map(({ value, epoch }) => [value, epoch])).toEqual([
      ['kept', 1],
      ['new', 2],
    ]);
  });

  test('forgets the longest idle producers beyond its bound, and those idle for too long', async () => {
    const rig = await ShardRig.open({ limits: { producersMax: 3, producerExpiryMs: 60_000 } });
    const of = topics[0] as Topic;
    for (const id of ['p1', 'p2', 'p3', 'p4', 'p1']) {
      rig.publish(of, 0, [id], { id, sequence: rig.clock.monotonic() });
      await rig.clock.advance(1000);
      await quiet();
    }
    const known = (): string[] => [...rig.engine.state.producers.keys()].map((key) => key.split('/')[1] ?? '');
    await rig.engine.checkpoint();
    expect(known()).toEqual(['p3', 'p4', 'p1']);
    await rig.clock.advance(70_000);
    rig.publish(of, 0, ['p5'], { id: 'p5', sequence: 0 });
    await quiet();
    await rig.engine.checkpoint();
    expect(known()).toEqual(['p5']);
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(known()).toEqual(['p5']);
  });

  test('lets no failing meta store cost a record: it serves on, and says at the end that nothing was saved', async () => {
    const rig = await ShardRig.open({ limits: { checkpointBytes: 1000 } });
    rig.meta.disk(META_DIRECTORY).onCall = (call) => {
      if (call === 'batch') throw new Error('the meta store fails');
    };
    const of = topics[0] as Topic;
    for (let index = 0; index < 20; index += 1) {
      rig.publish(of, 0, [`${index}`.padEnd(500)]);
      await quiet();
    }
    expect(await rig.values(of, 0)).toHaveLength(20);
    await expect(rig.engine.checkpoint()).rejects.toMatchObject({ code: 'META_DAMAGED' });
    expect(rig.logger.messages('error')).toHaveLength(1);
    rig.meta.disk(META_DIRECTORY).onCall = null;
    await rig.crash({ keep: 'none' });
    await rig.start();
    expect(await rig.values(of, 0)).toHaveLength(20);
  });
});
