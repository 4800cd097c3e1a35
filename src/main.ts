/**
 * The process: one broker, the signals, the exit code. Handlers go in before anything is awaited, so that a signal
 * during the start is a shutdown and no accident.
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { followProgress, serviceManager } from './actors/service-manager.ts';
import { startWatchdog } from './actors/watchdog.ts';
import { type Broker, createBroker } from './broker.ts';
import type { Config } from './config.ts';
import { BrokerError } from './errors.ts';
import { endDrawing } from './inspection/picture-drawer.ts';
import { createLogger, type Logger } from './logger.ts';
import { systemClock } from './ports/clock.ts';

/** A second SIGINT within this time is npm or a process manager passing on the same keystroke. */
const SAME_KEYSTROKE_MS = 1000;

/** Time that the process has to end by itself behind the report. */
const LINGER_MS = 500;

/** Runs a broker until it has shut down; resolves with the exit code of `docs/operations.md`. */
export async function runBroker(config: Config): Promise<number> {
  const logger = createLogger({ level: config.logLevel });
  const watchdog = startWatchdog(join(resolve(config.data), 'last-shutdown.json'));
  const broker = createBroker(config, { logger, watchdog });
  const forget = takeSignals(broker, logger);
  const manager = serviceManager({ environment: process.env, spawn, logger, clock: systemClock });
  let stopping = false;
  const look = (): { status: string; progress: string } => {
    const now = progressOf(broker);
    if (now.stopping && !stopping) manager.stopping(now.status);
    stopping = now.stopping;
    return now;
  };
  const unfollow = followProgress({ manager, clock: systemClock, look });
  if (process.pid === 1) {
    logger.warn(
      'running as PID 1, where the watchdog cannot end a process that hangs: run under an init (docker run --init)',
    );
  }
  try {
    await broker.start();
    manager.ready();
    const report = await broker.ended;
    await endDrawing();
    // Nothing is left to keep it. Should a file call hang all the same, `process.exit` would hang with it, and take the
    // watchdog's threads down first: so it is not called, and the watchdog has the last word.
    watchdog.arm(LINGER_MS, JSON.stringify({ ...report, killedByWatchdog: true }, null, 2));
    return report.exitCode;
  } catch (error) {
    const failure = BrokerError.from(error, 'INTERNAL', 'the broker could not start');
    logger.error({ err: failure }, 'start failed');
    throw failure;
  } finally {
    unfollow();
    manager.close();
    forget();
  }
}

/** What the service manager is shown, and what counts as progress worth more time. */
function progressOf(broker: Broker): { status: string; progress: string; stopping: boolean } {
  const { phase, pendingBytes, shards, children, stopping } = broker.shutdownState;
  const flushed = (shards as readonly { readonly flushedBytes: number }[] | undefined)?.map(
    (shard) => shard.flushedBytes,
  );
  return {
    status: String(phase),
    progress: JSON.stringify([phase, pendingBytes, flushed, children]),
    stopping: stopping === true,
  };
}

function takeSignals(broker: Broker, logger: Logger): () => void {
  let interrupts = 0;
  let lastSignalAt = Number.NEGATIVE_INFINITY;
  const stop = (mode: 'graceful' | 'fast' | 'immediate', reason: string): void => {
    logger.info({ signal: reason, mode }, 'signal');
    void broker.stop({ mode, reason });
  };
  const handlers: Partial<Record<NodeJS.Signals, () => void>> = {
    SIGTERM: () => {
      lastSignalAt = performance.now();
      stop('graceful', 'SIGTERM');
    },
    SIGINT: () => {
      const since = performance.now() - lastSignalAt;
      lastSignalAt = performance.now();
      if (since < SAME_KEYSTROKE_MS) return;
      interrupts += 1;
      stop(interrupts === 1 ? 'graceful' : interrupts === 2 ? 'fast' : 'immediate', 'SIGINT');
    },
    SIGQUIT: () => stop('immediate', 'SIGQUIT'),
    SIGUSR2: () => broker.drain('SIGUSR2'),
  };
  const fatal = (error: unknown): void => {
    logger.error({ err: error }, 'an error that nobody handled: shutting down');
    void broker.stop({ mode: 'fast', reason: 'fatal', fatal: true });
  };
  for (const [signal, handler] of Object.entries(handlers)) replaceHandlers(signal, handler);
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  return () => {
    // The process is ending by its own exit code: a signal that comes late must not end it by another.
    for (const signal of Object.keys(handlers)) replaceHandlers(signal, () => {});
    process.off('uncaughtException', fatal);
    process.off('unhandledRejection', fatal);
  };
}

/**
 * Takes a signal over from who has it: on the first call from the command's own handler, which ends a process that has
 * nothing open yet. The new one goes in before the old ones come out: without any, Node stops watching, and a signal
 * that has come and was not handled yet would be lost.
 */
function replaceHandlers(signal: string, handler: () => void): void {
  const before = process.listeners(signal as NodeJS.Signals);
  process.on(signal, handler);
  for (const old of before) process.off(signal, old);
}
