/** `last-shutdown.json`: the report of a shutdown, left in the data directory for people and for the next start. */
import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';
import type { SupervisorReport } from './machines/report.ts';
import type { DataDirectory } from './storage/data-directory.ts';
import type { Disk } from './storage/disk.ts';

/** The report of a shutdown: `last-shutdown.json`, and what `stop` resolves with. */
export interface ShutdownReport extends SupervisorReport {
  readonly version: string;
  readonly pid: number;
  /** Wall time of the end, ms since 1970. */
  readonly endedAt: number;
}

/** What a start is told of the end before it. */
export type LastShutdown = Pick<
  ShutdownReport,
  'outcome' | 'reason' | 'exitCode' | 'durationMs' | 'endedAt' | 'lost' | 'unknown'
>;

/** Leaves the report behind; a disk that does not take it is logged. */
export async function writeLastShutdown(
  disk: Disk,
  data: DataDirectory,
  report: ShutdownReport,
  logger: Logger,
): Promise<void> {
  try {
    await disk.replaceSmallFile(data.reportPath, Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  } catch (error) {
    logger.warn({ err: error }, 'the report of the shutdown could not be written');
  }
}

/** Logs how the run before ended and removes its report; null when it left none that reads. */
export async function takeLastShutdown(disk: Disk, data: DataDirectory, logger: Logger): Promise<LastShutdown | null> {
  const bytes = await disk.readSmallFile(data.reportPath);
  if (bytes === null) {
    if (!data.fresh)
      logger.warn('the last run left no report of its end: it was killed, or this is its first start since');
    return null;
  }
  // Once told it is history: a crash of this run must not be mistaken for the end that it tells.
  await disk.remove(data.reportPath);
  try {
    const { outcome, reason, exitCode, durationMs, endedAt, lost, unknown } = JSON.parse(
      Buffer.from(bytes).toString(),
    ) as ShutdownReport;
    const last = { outcome, reason, exitCode, durationMs, endedAt, lost, unknown };
    logger.info(last, 'last shutdown');
    return last;
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'the report of the last shutdown does not read');
    return null;
  }
}
