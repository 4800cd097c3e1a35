/**
 * A real broker at work on a traced disk: three lives of one data directory (a clean stop, a kill, a clean stop), several
 * shards, small segments, topics of both durabilities, commits, a deletion. Each answer is noted with the place that the
 * trace had reached when it came out of the client's socket: what was promised by then must outlive a power cut there.
 */
import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AckedRecord, SentRecord } from '../checker/history.ts';
import { BrokerProcess } from '../support/broker-process.ts';
import { Wire } from '../support/wire.ts';
import { readTrace, type TraceEvent } from './disk-trace.ts';

export const TRACED_SHARDS = 3;

/** Holds at every place of the trace in [from, until). */
interface Promised {
  readonly from: number;
  readonly until: number;
}

export interface TracedRun {
  readonly events: readonly TraceEvent[];
  readonly sent: readonly SentRecord[];
  readonly acked: readonly (AckedRecord & Promised)[];
  readonly commits: readonly ({ readonly name: string; readonly offset: number } & Promised)[];
  /** Topics that are gone for good. */
  readonly deleted: readonly ({ readonly topic: string } & Promised)[];
}

const FLAGS = [
  ...['--shards', String(TRACED_SHARDS), '--segment-bytes', '64KiB', '--checkpoint-bytes', '64KiB'],
  ...['--reserve-bytes', '0', '--flush-ms', '5ms'],
];
const PARTITIONS = 5;

/** `bursts`: of a record for each partition, in each life. */
export async function runTraced(folder: string, shim: string, bursts: number): Promise<TracedRun> {
  const recorder = new Recorder(folder, shim);
  await mkdir(recorder.data, { mode: 0o700 });
  await recorder.live(1, bursts, 'SIGTERM');
  await recorder.live(2, bursts, 'SIGKILL');
  await recorder.live(3, bursts, 'SIGTERM');
  return recorder.run;
}

class Recorder {
  readonly data: string;
  readonly #trace: string;
  readonly #shim: string;
  readonly #sent: SentRecord[] = [];
  #acked: (AckedRecord & Promised)[] = [];
  readonly #commits: TracedRun['commits'][number][] = [];
  readonly #deleted: TracedRun['deleted'][number][] = [];

  constructor(folder: string, shim: string) {
    this.data = join(folder, 'data');
    this.#trace = join(folder, 'trace');
    this.#shim = shim;
  }

  get run(): TracedRun {
    return {
      events: readTrace(this.#trace, this.data),
      sent: this.#sent,
      acked: this.#acked,
      commits: this.#commits,
      deleted: this.#deleted,
    };
  }

  get #place(): number {
    return statSync(this.#trace).size;
  }

  async live(life: number, bursts: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const env = { LD_PRELOAD: this.#shim, TRACE_FILE: this.#trace, TRACE_DIR: this.data };
    const broker = await BrokerProcess.start({ data: this.data, flags: FLAGS, env });
    try {
      const wire = await Wire.open(broker.url);
      await this.#work(wire, life, bursts);
      wire.socket.terminate();
    } catch (error) {
      await broker.stop('SIGKILL');
      throw error;
    }
    const { code } = await broker.stop(signal);
    if (signal === 'SIGKILL') return;
    if (code !== 0) throw new Error(`the traced broker ended with ${code}\n${broker.output}`);
    // What an async topic had acknowledged is safe from here on.
    this.#acked = this.#acked.map((ack) => ({ ...ack, from: Math.min(ack.from, this.#place) }));
  }

  async #work(wire: Wire, life: number, bursts: number): Promise<void> {
    const gone = `gone${life}`;
    await wire.ask({ op: 'hello', producer: 'tracer' });
    await wire.ask({ op: 'create', topic: 'orders', partitions: PARTITIONS });
    await wire.ask({ op: 'create', topic: 'metrics', partitions: 2, durability: 'async' });
    await wire.ask({ op: 'create', topic: gone, partitions: 2 });
    await Promise.all([0, 1].map((partition) => this.#publish(wire, gone, partition, `${life} gone ${partition}`)));
    const { subscription } = await wire.ask({
      op: 'subscribe',
      topic: 'orders',
      group: 'g',
      from: 'earliest',
      credit: 1,
    });
    for (let burst = 0; burst < bursts; burst += 1) {
      const orders = Array.from({ length: PARTITIONS }, (_, partition) => {
        const bytes = ((burst * 7 + partition * 13) % 11) * 800;
        const sequence = (life * bursts + burst) * PARTITIONS + partition;
        return this.#publish(wire, 'orders', partition, `${life} ${burst}.${partition} ${'x'.repeat(bytes)}`, {
          sequence,
        });
      });
      orders.push(this.#publish(wire, 'metrics', burst % 2, `${life} ${burst} metric`));
      await Promise.all(orders);
      if (burst === Math.floor(bursts / 2)) await this.#delete(wire, gone);
      if (burst % 2 === 1) {
        await this.#commit(wire, subscription, burst % PARTITIONS, (life - 1) * bursts + burst);
      }
    }
  }

  async #publish(
    wire: Wire,
    topic: string,
    partition: number,
    value: string,
    more: { readonly sequence?: number; readonly headers?: object } = {},
  ): Promise<void> {
    this.#sent.push({ topic, value, sender: `${topic}/${partition}` });
    const reply = await wire.ask({ op: 'publish', topic, partition, value, encoding: 'utf8', ...more });
    if (reply['op'] !== 'published') throw new Error(`refused: ${JSON.stringify(reply)}`);
    const from = topic === 'metrics' ? Number.POSITIVE_INFINITY : this.#place;
    const offset = reply['offset'] as number;
    const headers = more.headers === undefined ? null : JSON.stringify(more.headers);
    this.#acked.push({ topic, partition, offset, value, headers, from, until: Number.POSITIVE_INFINITY });
  }

  async #commit(wire: Wire, subscription: unknown, partition: number, offset: number): Promise<void> {
    const reply = await wire.ask({ op: 'commit', subscription, partition, offset });
    if (reply['op'] !== 'committed') throw new Error(`not committed: ${JSON.stringify(reply)}`);
    this.#commits.push({ name: `orders/${partition}/g`, offset, from: this.#place, until: Number.POSITIVE_INFINITY });
  }

  async #delete(wire: Wire, topic: string): Promise<void> {
    const asked = this.#place;
    this.#acked = this.#acked.map((ack) => (ack.topic === topic ? { ...ack, until: asked } : ack));
    await wire.ask({ op: 'delete', topic });
    this.#deleted.push({ topic, from: this.#place, until: Number.POSITIVE_INFINITY });
  }
}
