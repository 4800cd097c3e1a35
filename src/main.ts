/**
 * The process: one broker, the signals, the exit code. Handlers go in before anything is awaited, so that a signal
 * during the start is a shutdown and no accident.
 */
import { join, resolve } from 'node:path';
import { startWatchdog } from './actors/watchdog.ts';
import { type Broker, createBroker } from './broker.ts';
import type { Config } from './config.ts';
import { BrokerError } from './errors.ts';
import { createLogger, type Logger } from './logger.ts';

/** A second SIGINT within this time is npm or a process manager passing on the same keystroke. */
const SAME_KEYSTROKE_MS = 1000;

/** Time that the process has to end by itself behind the report. */
const LINGER_MS = 500;

/** Runs a broker until it has shut down; resolves with the exit code of `docs/operations.md`. */
export async function runBroker(config: Config): Promise<number> {
  const logger = createLogger({ level: config.logLevel });
  const watchdog = startWatchdog(join(resolve(config.data), 'last-shutdown.json'));
  const broker = createBroker({ config }, { logger, watchdog });
  const forget = takeSignals(broker, logger);
  if (process.pid === 1) {
    logger.warn(
      'running as PID 1, where the watchdog cannot end a process that hangs: run under an init (docker run --init)',
    );
  }
  try {
    await broker.start();
    const report = await broker.ended;
    // Nothing is left to keep it. Should a file call hang all the same, `process.exit` would hang with it, and take the
    // watchdog's threads down first: so it is not called, and the watchdog has the last word.
    watchdog.arm(LINGER_MS, JSON.stringify({ ...report, killedByWatchdog: true }, null, 2));
    return report.exitCode;
  } catch (error) {
    const failure = BrokerError.from(error, 'INTERNAL', 'the broker could not start');
    logger.error({ err: failure }, 'start failed');
    throw failure;
  } finally {
    forget();
  }
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
  for (const [signal, handler] of Object.entries(handlers)) {
    // In place of the command's own, which end a process that has nothing open yet.
    process.removeAllListeners(signal);
    process.on(signal, handler);
  }
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  return () => {
    for (const [signal, handler] of Object.entries(handlers)) process.off(signal, handler);
    process.off('uncaughtException', fatal);
    process.off('unhandledRejection', fatal);
  };
}
