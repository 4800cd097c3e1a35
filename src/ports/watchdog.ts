/**
 * The watchdog port: what ends a process that can't end itself. A hung file call makes `process.exit` hang as well, and
 * a blocked event loop runs no timer; so the last word lies with something outside both.
 */
export interface Watchdog {
  /** From now on: kill in `ms`, unless armed again or disarmed. `report` is what is left behind in that case. */
  arm(ms: number, report: string): void;
  /** The process ends by itself. */
  disarm(): void;
}

/** For a broker that is embedded: ending the process is not its to decide. */
export const noWatchdog: Watchdog = { arm: () => {}, disarm: () => {} };
