/**
 * A stop that was asked for before there is a supervisor to take it: while the data directory is opened, where a file
 * call can hang as anywhere. Its budget runs from the first request; what is not there by its end, the watchdog ends.
 */
import type { Config } from './config.ts';
import { budgetOf, planBudget } from './machines/budget.ts';
import { exitCodes, noCounts, type Outcome, type SupervisorReport } from './machines/report.ts';
import { escalate } from './machines/shutdown-mode.ts';
import type { ShutdownRequest } from './machines/supervisor-context.ts';

export class EarlyStop {
  readonly #config: Config;
  readonly #startedAt: number;
  #request: ShutdownRequest;
  #requests = 0;
  /** When it has to be over, monotonic ms. */
  until: number;

  /** `now`: monotonic ms. */
  constructor(config: Config, request: ShutdownRequest, now: number) {
    this.#config = config;
    this.#startedAt = now;
    this.#request = request;
    this.until = Number.POSITIVE_INFINITY;
    this.press(request, now);
  }

  /** Asked for again: the first one's words, the harder one's press. */
  press(request: ShutdownRequest, now: number): void {
    const { mode, deadline } = request;
    const asked = { ...this.#config, pendingBytes: 0, flushBytesPerSecond: null, now, mode };
    const { reportUntil } = planBudget(deadline === undefined ? asked : { ...asked, deadline });
    this.until = Math.min(this.until, reportUntil);
    this.#requests += 1;
    this.#request = {
      ...this.#request,
      mode: escalate(this.#request.mode, mode),
      fatal: this.#request.fatal === true || request.fatal === true,
      returning: this.#request.returning !== false && request.returning !== false,
    };
  }

  /** For the supervisor, once it is there: what is left of the time is all that it has. */
  get request(): ShutdownRequest {
    return { ...this.#request, deadline: this.until };
  }

  /** What is left behind when nothing else can tell. */
  report(): SupervisorReport {
    return unstartedReport(this.#config, 'abandoned', this.asked, this.#startedAt, this.until);
  }

  get asked(): Pick<SupervisorReport, 'mode' | 'reason' | 'requests'> {
    const { mode, reason } = this.#request;
    return { mode, reason, requests: this.#requests };
  }
}

/** The report of a broker that never had a supervisor. `startedAt`, `until`: monotonic ms. */
export function unstartedReport(
  config: Config,
  outcome: Outcome,
  told: Pick<SupervisorReport, 'mode' | 'reason' | 'requests'>,
  startedAt: number,
  until: number,
): SupervisorReport {
  const durationMs = Math.round(until - startedAt);
  return {
    outcome,
    exitCode: exitCodes[outcome],
    ...told,
    durationMs,
    budgetMs: budgetOf(config),
    ...noCounts,
    phases: [{ phase: 'starting', startedAt, durationMs, budgetMs: null }],
    children: [],
    unaccounted: [],
  };
}
