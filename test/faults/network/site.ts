/** A broker on one side of a bad network and clients on the other, each real processes in a namespace of its own. */
import { readFile } from 'node:fs/promises';
import { BrokerProcess, type Exit, temporaryFolder } from '../../support/broker-process.ts';
import { MetricsText } from '../../support/metrics-text.ts';
import { addresses, RoughNetwork } from '../../support/rough-network.ts';
import { AgentProcess } from './agent-process.ts';

/** Long enough for a machine under load, short enough for a test. */
export const PING_MS = 500;
export const PING_TIMEOUT_MS = 500;
export const SLOW_CONSUMER_MS = 1000;

export class NetworkSite {
  readonly network: RoughNetwork;
  readonly broker: BrokerProcess;
  /** Across the network. */
  readonly far: AgentProcess;
  /** Beside the broker. */
  readonly near: AgentProcess;
  readonly data: string;
  readonly #removeData: () => Promise<void>;

  private constructor(
    parts: Pick<NetworkSite, 'network' | 'broker' | 'far' | 'near' | 'data'>,
    removeData: () => Promise<void>,
  ) {
    this.network = parts.network;
    this.broker = parts.broker;
    this.far = parts.far;
    this.near = parts.near;
    this.data = parts.data;
    this.#removeData = removeData;
  }

  static async make(seed: number): Promise<NetworkSite> {
    const made: (() => Promise<unknown>)[] = [];
    try {
      const folder = await temporaryFolder();
      made.push(() => folder.remove());
      const network = await RoughNetwork.make(seed);
      made.push(() => network.remove());
      const liveness = [
        '--ping-ms',
        PING_MS,
        '--ping-timeout-ms',
        PING_TIMEOUT_MS,
        '--slow-consumer-ms',
        SLOW_CONSUMER_MS,
      ];
      const broker = BrokerProcess.spawn({
        data: folder.path,
        flags: ['--host', '0.0.0.0', ...liveness.map(String)],
        prefix: network.prefix('a'),
      });
      made.push(async () => {
        if (broker.child.exitCode === null && broker.child.signalCode === null) await broker.stop('SIGKILL');
      });
      const [far, near] = await Promise.all([
        AgentProcess.start(network.prefix('b')),
        AgentProcess.start(network.prefix('a')),
        broker.ready(),
      ]);
      return new NetworkSite({ network, broker, far, near, data: folder.path }, () => folder.remove());
    } catch (error) {
      for (const undo of made.reverse()) await undo();
      throw error;
    }
  }

  /** Of the broker, from across the network. */
  get url(): string {
    return `ws://${addresses.a}:${this.broker.port}/v1`;
  }

  async metrics(): Promise<MetricsText> {
    return MetricsText.parse(await this.near.ask('fetch', { url: `${this.broker.adminUrl}/metrics` }));
  }

  async sessions(): Promise<number> {
    return (await this.metrics()).value('sluice_sessions') ?? 0;
  }

  /** Memory of the broker that is resident. */
  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.broker.child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  async stopBroker(): Promise<Exit> {
    return this.broker.stop('SIGTERM');
  }

  /** Everything, whatever has become of it; the data as well. */
  async remove(): Promise<void> {
    const { exitCode, signalCode } = this.broker.child;
    await Promise.all([this.far.stop(), this.near.stop()]);
    if (exitCode === null && signalCode === null) await this.broker.stop('SIGKILL');
    await this.network.remove();
    await this.#removeData();
  }
}
