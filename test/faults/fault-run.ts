/**
 * One life of a data directory with one failing file call in it: a real broker started, used and stopped twice, while
 * everything that its clients are told is written down; then a start without faults, and the judgement of the checker.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBroker } from '../../src/broker.ts';
import { readDataDirectory, realFolder } from '../checker/data-directory.ts';
import { type AckedRecord, checkHistory, isKept, type SentRecord } from '../checker/history.ts';
import { BrokerProcess, temporaryFolder } from '../support/broker-process.ts';
import { type Reply, Wire } from '../support/wire.ts';
import { CallCounter, type CallKind, type FailingCall } from './failing-call.ts';

export interface FaultRun {
  readonly fired: boolean;
  readonly calls: Readonly<Record<CallKind, number>>;
  readonly acked: number;
  readonly refused: number;
  readonly unanswered: number;
  /** Exit codes of the two lives, in order. */
  readonly exits: readonly (number | null)[];
  /** What was not "refused or correct"; empty when all was. */
  readonly faults: readonly string[];
}

const FLAGS = [
  ...['--shards', '2', '--segment-bytes', '64KiB', '--checkpoint-bytes', '64KiB', '--reserve-bytes', '1280KiB'],
  ...['--shard-queue-bytes', '1MiB', '--group-bytes', '64KiB', '--disk-check-ms', '50ms', '--grace-period-ms', '8s'],
];
const PARTITIONS = 3;
const ROUNDS = 2;
/** Longest that an answer may take: three tries, the waits between them, and a busy machine. */
const ANSWER_MS = 15_000;
const START_MS = 20_000;

export async function runWithFault(shim: string, call: FailingCall): Promise<FaultRun> {
  const folder = await temporaryFolder();
  try {
    return await new Life(folder.path, shim, call).run();
  } finally {
    await folder.remove();
  }
}

class Life {
  readonly #data: string;
  readonly #env: Record<string, string>;
  readonly #counter: CallCounter;
  readonly #sent: SentRecord[] = [];
  readonly #acked: AckedRecord[] = [];
  readonly #refused: SentRecord[] = [];
  readonly #unknown: SentRecord[] = [];
  readonly #commits = new Map<string, number>();
  readonly #deleted: string[] = [];
  readonly #faults: string[] = [];
  readonly #exits: (number | null)[] = [];

  constructor(folder: string, shim: string, call: FailingCall) {
    this.#data = join(folder, 'data');
    mkdirSync(this.#data, { mode: 0o700 });
    this.#counter = new CallCounter(join(folder, 'calls'), call);
    this.#env = { LD_PRELOAD: shim, NTH_STATE: this.#counter.path, NTH_DIR: this.#data };
  }

  async run(): Promise<FaultRun> {
    for (let round = 1; round <= ROUNDS; round += 1) await this.#live(round);
    const { fired, calls } = this.#counter;
    await this.#startWithoutFaults();
    this.#judge();
    return {
      fired,
      calls,
      acked: this.#acked.length,
      refused: this.#refused.length,
      unanswered: this.#unknown.length,
      exits: this.#exits,
      faults: this.#faults,
    };
  }

  async #live(round: number): Promise<void> {
    const broker = BrokerProcess.spawn({ data: this.#data, flags: FLAGS, env: this.#env });
    try {
      const serves = await this.#began(broker, round);
      if (serves) await this.#use(broker, round);
      const { code, signal } = serves ? await within(broker.stop(), START_MS, 'the stop') : await broker.exited;
      this.#exits.push(code);
      this.#checkEnd(broker, round, serves, code, signal);
    } catch (error) {
      this.#faults.push(`round ${round}: ${String(error)}\n${broker.output}`);
    } finally {
      if (broker.child.exitCode === null && broker.child.signalCode === null) await broker.stop('SIGKILL');
    }
  }

  /** False when it refused to start, as it may where the disk fails it. */
  async #began(broker: BrokerProcess, round: number): Promise<boolean> {
    try {
      await within(broker.ready(), START_MS, 'the start');
      return true;
    } catch (error) {
      if (broker.child.exitCode === null) throw error;
      if (!this.#counter.fired) this.#faults.push(`round ${round}: no start, and no call had failed: ${String(error)}`);
      return false;
    }
  }

  async #use(broker: BrokerProcess, round: number): Promise<void> {
    const wire = await within(Wire.open(broker.url), ANSWER_MS, 'the welcome');
    const ask = (command: object): Promise<Reply> =>
      within(wire.ask(command), ANSWER_MS, `the answer to ${JSON.stringify(command).slice(0, 80)}`);
    const gone = `gone${round}`;
    await ask({ op: 'create', topic: 'orders', partitions: PARTITIONS });
    await ask({ op: 'create', topic: 'metrics', partitions: 2, durability: 'async' });
    await ask({ op: 'create', topic: gone, partitions: 2 });
    await this.#publish(ask, gone, 1, `${round} gone`);
    for (let burst = 0; burst < 6; burst += 1) {
      await Promise.all(
        Array.from({ length: PARTITIONS }, (_, partition) =>
          this.#publish(ask, 'orders', partition, `${round} ${burst}.${partition} ${'x'.repeat(9000)}`),
        ),
      );
      await this.#publish(ask, 'metrics', burst % 2, `${round} ${burst} metric`);
    }
    const { subscription } = await ask({ op: 'subscribe', topic: 'orders', group: 'g', from: 'earliest', credit: 1 });
    if (subscription !== undefined) {
      for (const partition of [0, 1]) await this.#commit(ask, subscription, partition, 3 * round);
    }
    if ((await ask({ op: 'delete', topic: gone }))['op'] === 'deleted') this.#deleted.push(gone);
    wire.socket.terminate();
  }

  async #publish(
    ask: (command: object) => Promise<Reply>,
    topic: string,
    partition: number,
    value: string,
  ): Promise<void> {
    const record = { topic, value };
    this.#sent.push({ ...record, sender: String(partition) });
    const reply = await ask({ op: 'publish', topic, partition, value, encoding: 'utf8' }).catch((error: unknown) => {
      this.#unknown.push(record);
      throw error;
    });
    if (reply['op'] === 'published') this.#acked.push({ ...record, partition, offset: reply['offset'] as number });
    else if (reply['code'] === 'OUTCOME_UNKNOWN') this.#unknown.push(record);
    else this.#refused.push(record);
  }

  async #commit(
    ask: (command: object) => Promise<Reply>,
    subscription: unknown,
    partition: number,
    offset: number,
  ): Promise<void> {
    const reply = await ask({ op: 'commit', subscription, partition, offset });
    if (reply['op'] === 'committed') this.#commits.set(`orders/${partition}/g`, reply['offset'] as number);
  }

  #checkEnd(broker: BrokerProcess, round: number, served: boolean, code: number | null, signal: string | null): void {
    const fault = (text: string): void => {
      this.#faults.push(`round ${round}: ${text}\n${broker.output}`);
    };
    if (signal !== null) fault(`ended by ${signal}`);
    if (/nobody handled|Unhandled|uncaught/i.test(broker.output) || code === 23) fault('an error that nobody handled');
    if (!served) {
      if (code === 0) fault('it did not start, and ended with 0');
      return;
    }
    const stored = readDataDirectory(realFolder(this.#data));
    if (code === 0 && !stored.shards.every(({ clean }) => clean)) fault('called clean, and a shard has no clean mark');
    if (code !== 0 && !this.#counter.fired) fault(`ended with ${code}, and no call had failed`);
    const report = this.#report();
    if (report === null && !broker.output.includes('could not be written')) fault('it left no report');
    if (report !== null && report.exitCode !== code) fault(`ended with ${code}, its report says ${report.exitCode}`);
    if (report !== null && (report.outcome === 'clean') !== (code === 0))
      fault(`ended with ${code} as ${report.outcome}`);
  }

  #report(): { readonly exitCode: number; readonly outcome: string } | null {
    try {
      return JSON.parse(readFileSync(join(this.#data, 'last-shutdown.json'), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async #startWithoutFaults(): Promise<void> {
    const broker = createBroker(
      { data: this.#data, shards: 2, reserveBytes: 0, logLevel: 'silent', listen: false, admin: false },
      {},
    );
    try {
      await broker.start();
      const { outcome, children } = await broker.stop();
      if (outcome !== 'clean')
        this.#faults.push(`the start without faults ended ${outcome}: ${JSON.stringify(children)}`);
    } catch (error) {
      this.#faults.push(`the start without faults: ${String(error)}`);
    }
  }

  #judge(): void {
    const stored = readDataDirectory(realFolder(this.#data));
    this.#faults.push(...stored.faults);
    // A life that did not end clean may cost an async topic what it had not flushed.
    const clean = this.#exits.length === ROUNDS && this.#exits.every((code) => code === 0);
    const kept = ({ topic }: AckedRecord): boolean => topic === 'orders' || (topic === 'metrics' && clean);
    const verdict = checkHistory(
      { sent: this.#sent, acked: this.#acked.filter(kept), refused: this.#refused, unknown: this.#unknown },
      stored,
    );
    if (!isKept(verdict)) this.#faults.push(JSON.stringify(verdict));
    for (const [name, offset] of this.#commits) {
      if ((stored.commits.get(name) ?? -1) < offset) this.#faults.push(`the commit of ${offset} for ${name} is lost`);
    }
    for (const topic of this.#deleted) if (stored.topics.has(topic)) this.#faults.push(`${topic} came back`);
  }
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
