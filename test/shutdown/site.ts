/** What one run of a scenario has made, and is gone behind it: folders, brokers, connections, faults. */
import { BrokerProcess, type BrokerProcessOptions, temporaryFolder } from '../support/broker-process.ts';
import { DiskFaults } from '../support/disk-faults.ts';
import { TextClient } from '../support/text-client.ts';
import { Wire } from '../support/wire.ts';

export class Site {
  readonly #cleanups: (() => Promise<unknown> | unknown)[] = [];

  static async run<T>(scene: (site: Site) => Promise<T>): Promise<T> {
    const site = new Site();
    try {
      return await scene(site);
    } finally {
      for (const cleanup of site.#cleanups.reverse()) await cleanup();
    }
  }

  /** Done behind the run, latest first. */
  cleanup(run: () => Promise<unknown> | unknown): void {
    this.#cleanups.push(run);
  }

  async folder(): Promise<string> {
    const made = await temporaryFolder();
    this.cleanup(() => made.remove());
    return made.path;
  }

  /** A broker that was just spawned, and may never serve. */
  spawn(options: BrokerProcessOptions): BrokerProcess {
    const broker = BrokerProcess.spawn(options);
    this.cleanup(() => {
      const { exitCode, signalCode } = broker.child;
      if (exitCode !== null || signalCode !== null) return;
      // One that was stopped by SIGSTOP dies of this as well.
      return broker.stop('SIGKILL');
    });
    return broker;
  }

  /** A broker that serves. */
  async start(options: BrokerProcessOptions): Promise<BrokerProcess> {
    const broker = this.spawn(options);
    await broker.ready();
    return broker;
  }

  faults(): DiskFaults {
    const faults = new DiskFaults();
    this.cleanup(() => faults.remove());
    return faults;
  }

  async wire(broker: BrokerProcess): Promise<Wire> {
    const wire = await Wire.open(broker.url);
    this.cleanup(() => wire.socket.terminate());
    return wire;
  }

  async client(broker: BrokerProcess): Promise<TextClient> {
    const client = await TextClient.open(broker.url);
    this.cleanup(() => client.end());
    return client;
  }
}
