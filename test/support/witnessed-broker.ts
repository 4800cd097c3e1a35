/**
 * A broker that is about to be given bad input, with a witness: another client that is there all the time, publishes
 * behind every blow, and checks that nothing that was stored is gone.
 */
import { expect } from 'vitest';
import { BrokerProcess, temporaryFolder } from './broker-process.ts';
import { recordsOf, Wire } from './wire.ts';

export const WITNESS_TOPIC = 'kept';

export class WitnessedBroker {
  readonly data: string;
  readonly process: BrokerProcess;
  readonly witness: Wire;
  readonly #removeData: () => Promise<void>;
  #stored = 0;

  private constructor(data: string, broker: BrokerProcess, witness: Wire, removeData: () => Promise<void>) {
    this.data = data;
    this.process = broker;
    this.witness = witness;
    this.#removeData = removeData;
  }

  static async start(flags: readonly string[] = []): Promise<WitnessedBroker> {
    const folder = await temporaryFolder();
    const broker = await BrokerProcess.start({ data: folder.path, flags });
    const witness = await Wire.open(broker.url);
    await witness.ask({ op: 'create', topic: WITNESS_TOPIC, partitions: 1 });
    return new WitnessedBroker(folder.path, broker, witness, () => folder.remove());
  }

  get url(): string {
    return this.process.url;
  }

  get port(): number {
    return this.process.port;
  }

  /** Records of the witness, which are all there are in its topic. */
  get stored(): number {
    return this.#stored;
  }

  /** The broker lives, serves others, has lost nothing, and took nothing for a defect of its own. */
  async isUnharmed(): Promise<void> {
    expect(this.process.child.exitCode, this.process.output).toBe(null);
    const answer = await this.witness.ask({ op: 'publish', topic: WITNESS_TOPIC, value: this.#stored });
    expect(answer).toMatchObject({ op: 'published', offset: this.#stored });
    this.#stored += 1;
    const values = (await recordsOf(this.url, WITNESS_TOPIC)).map(({ value }) => value);
    expect(values).toEqual([...Array(this.#stored).keys()]);
    expect(this.process.lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  }

  async stop(): Promise<void> {
    const exit = await this.process.stop('SIGTERM');
    await this.#removeData();
    expect(exit).toEqual({ code: 0, signal: null });
  }
}
