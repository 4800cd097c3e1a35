/** Brokers of one test file: started on demand, killed and their folders removed behind each test. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { ShutdownReport } from '../../src/broker.ts';
import { BrokerProcess, type BrokerProcessOptions, temporaryFolder } from './broker-process.ts';

export interface BrokerRig {
  /** A new folder. */
  folder(): Promise<string>;
  /** A broker that serves. */
  start(options: BrokerProcessOptions): Promise<BrokerProcess>;
  /** A broker that was just spawned, and may never serve. */
  spawn(options: BrokerProcessOptions): BrokerProcess;
  /** Done behind the test, latest first. */
  cleanup(run: () => Promise<unknown> | unknown): void;
}

export function brokerRig(): BrokerRig {
  const cleanups: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  const spawn = (options: BrokerProcessOptions): BrokerProcess => {
    const broker = BrokerProcess.spawn(options);
    cleanups.push(() => (broker.child.exitCode === null ? broker.stop('SIGKILL') : undefined));
    return broker;
  };
  return {
    spawn,
    folder: async () => {
      const made = await temporaryFolder();
      cleanups.push(() => made.remove());
      return made.path;
    },
    start: async (options) => {
      const broker = spawn(options);
      await broker.ready();
      return broker;
    },
    cleanup: (run) => cleanups.push(run),
  };
}

/** The report that the last shutdown of a data directory left. */
export async function lastReport(data: string): Promise<ShutdownReport> {
  return JSON.parse(await readFile(join(data, 'last-shutdown.json'), 'utf8')) as ShutdownReport;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
