/**
 * The time of a shutdown: one number in, every deadline out. Pure arithmetic; called by the supervisor's chart when a
 * shutdown begins and again whenever pending bytes or the flush rate are measured anew, and by the settings check at
 * start. Deadlines are absolute monotonic ms and computed backwards from the end, so that time one phase leaves unused
 * rolls forward to the next.
 *
 *   startedAt ── announceUntil ── drainUntil ── flushUntil ── closeUntil ── releaseUntil ── adminUntil ── reportUntil
 *      announce        drain          flush     the last clients  files, lock    admin port       report
 *
 * Invariants
 * - B1 Deadlines stand in that order, and `reportUntil` is at most the budget after `startedAt`, for any input.
 * - B2 The flush is never what pays: the time between `drainUntil` and `flushUntil` depends on the budget, pending
 *      bytes and rate alone. An overrun is paid by announce first, then by the drain.
 * - B3 Every deadline is finite, whatever was measured (`setTimeout(Infinity)` fires at once).
 */
import type { ShutdownMode } from './shutdown-mode.ts';

/** The three settings that the orchestrator and the operator decide, ms. */
export interface BudgetConfig {
  /** Between the orchestrator's decision to stop and its SIGKILL. */
  readonly gracePeriodMs: number;
  /** Part of it that a preStop hook uses up before the signal. */
  readonly preStopMs: number;
  /** Between turning unready and draining. */
  readonly announceMs: number;
}

/** What the flush has to do and how fast it goes, as measured last. */
export interface FlushMeasure {
  /** Bytes accepted and not yet durable, of all shards. */
  readonly pendingBytes: number;
  /** Synced bytes per second; null while nothing has been measured. */
  readonly flushBytesPerSecond: number | null;
}

export interface BudgetRequest extends BudgetConfig, FlushMeasure {
  /** Monotonic ms at which the shutdown begins. */
  readonly now: number;
  readonly mode: ShutdownMode;
  /** An earlier end asked for by the caller, monotonic ms; a later one than the budget's is ignored. */
  readonly deadline?: number;
}

/** Absolute monotonic ms, in this order. */
export interface BudgetPlan {
  readonly startedAt: number;
  readonly announceUntil: number;
  /** From here on flushing begins, whoever has not drained. */
  readonly drainUntil: number;
  /** A shard that is not flushed by now is abandoned. */
  readonly flushUntil: number;
  /** A client that has not closed by now is cut. */
  readonly closeUntil: number;
  /** A child that has not released by now is named in the report and left. */
  readonly releaseUntil: number;
  /** The admin port is closed by now. */
  readonly adminUntil: number;
  /** The report is written by now: the global deadline. */
  readonly reportUntil: number;
  /** A child's deadline is this much before its parent's, so that the child reports first. */
  readonly childMarginMs: number;
  /** Asked for, before anything was paid from it. */
  readonly announceMs: number;
}

/** Held back for what the orchestrator does around us: at least this much, or a tenth of the grace period. */
const GRACE_MARGIN_MS = 2000;
const GRACE_MARGIN_SHARE = 0.1;
const REPORT_MS = 500;
const REPORT_SHARE = 0.1;
const RELEASE_MS = 1500;
const RELEASE_SHARE = 0.3;
const FLUSH_MIN_MS = 2000;
/** With the shares of release and report this is the whole: below 5 s the fixed times shrink in proportion. */
const FLUSH_SHARE = 0.6;
const FLUSH_SAFETY = 1.5;
const DRAIN_MIN_MS = 1000;
const DRAIN_MIN_SHARE = 0.1;
const CHILD_MARGIN_MS = 250;
/** The least that holds a report, a release and the shortest flush. */
const BUDGET_MIN_MS = 4000;

/** What the broker may use of the grace period, ms; negative when the margins alone exceed it. */
export function budgetOf(config: Pick<BudgetConfig, 'gracePeriodMs' | 'preStopMs'>): number {
  const margin = Math.max(GRACE_MARGIN_MS, GRACE_MARGIN_SHARE * config.gracePeriodMs);
  return config.gracePeriodMs - config.preStopMs - margin;
}

/**
 * Lays out the phases of a shutdown that begins now. Any input gives a plan that keeps B1–B3; one that cannot work is
 * for `budgetFault` to refuse at start.
 */
export function planBudget(request: BudgetRequest): BudgetPlan {
  const { now, mode, deadline } = request;
  const granted = finiteOr(Math.max(0, budgetOf(request)), 0);
  const asked = deadline === undefined || !Number.isFinite(deadline) ? granted : Math.max(0, deadline - now);
  // Nothing is flushed at once: what is left is to let go and to report.
  const most = mode === 'immediate' ? RELEASE_MS + REPORT_MS : granted;
  const announceMs = mode === 'graceful' ? Math.max(0, finiteOr(request.announceMs, 0)) : 0;
  return layOut(now, now + Math.min(granted, asked, most), announceMs, request);
}

/** The same shutdown with other pending bytes or another rate: `drainUntil` and `announceUntil` move, nothing else. */
export function replan(plan: BudgetPlan, measure: FlushMeasure): BudgetPlan {
  return layOut(plan.startedAt, plan.reportUntil, plan.announceMs, measure);
}

/**
 * The same shutdown, pressed harder: its end comes nearer, never further away. `immediate` leaves time to let go and to
 * report from now on; `deadline` is monotonic ms.
 */
export function hasten(
  plan: BudgetPlan,
  request: FlushMeasure & { readonly now: number; readonly mode: ShutdownMode; readonly deadline?: number },
): BudgetPlan {
  const { now, mode, deadline } = request;
  let end = plan.reportUntil;
  if (mode === 'immediate') end = Math.min(end, now + RELEASE_MS + REPORT_MS);
  if (deadline !== undefined && Number.isFinite(deadline)) end = Math.min(end, Math.max(deadline, plan.startedAt));
  return layOut(plan.startedAt, end, mode === 'graceful' ? plan.announceMs : 0, request);
}

function layOut(startedAt: number, end: number, announceMs: number, measure: FlushMeasure): BudgetPlan {
  const budget = end - startedAt;
  const reportMs = Math.min(REPORT_MS, REPORT_SHARE * budget);
  const releaseMs = Math.min(RELEASE_MS, RELEASE_SHARE * budget);
  const releaseUntil = Math.max(startedAt, end - reportMs);
  const flushUntil = Math.max(startedAt, releaseUntil - releaseMs);
  const drainUntil = Math.max(startedAt, flushUntil - flushReserve(budget, measure));
  const drainMinMs = Math.min(DRAIN_MIN_MS, DRAIN_MIN_SHARE * budget);
  return {
    startedAt,
    announceUntil: Math.max(startedAt, Math.min(startedAt + announceMs, drainUntil - drainMinMs)),
    drainUntil,
    flushUntil,
    closeUntil: flushUntil + (releaseUntil - flushUntil) * (2 / 3),
    releaseUntil,
    adminUntil: releaseUntil + (end - releaseUntil) / 2,
    reportUntil: end,
    childMarginMs: Math.min(CHILD_MARGIN_MS, releaseMs / 4),
    announceMs,
  };
}

function flushReserve(budget: number, measure: FlushMeasure): number {
  const estimate = flushEtaMs(measure) ?? 0;
  return Math.min(Math.max(FLUSH_SAFETY * estimate, FLUSH_MIN_MS), FLUSH_SHARE * budget);
}

/** ms that flushing what is pending takes at the measured rate, Infinity at rate 0; null while none has been measured. */
export function flushEtaMs(measure: FlushMeasure): number | null {
  const { pendingBytes, flushBytesPerSecond } = measure;
  if (!(pendingBytes > 0)) return 0;
  if (flushBytesPerSecond === null || Number.isNaN(flushBytesPerSecond)) return null;
  return flushBytesPerSecond > 0 ? (pendingBytes / flushBytesPerSecond) * 1000 : Number.POSITIVE_INFINITY;
}

/** The deadline that a child gets for one that its parent holds. */
export function childDeadline(plan: BudgetPlan, parentDeadline: number): number {
  return Math.max(plan.startedAt, parentDeadline - plan.childMarginMs);
}

/** What is wrong with the settings, in words that name the number to set; null when a shutdown can work by them. */
export function budgetFault(config: BudgetConfig): string | null {
  const { gracePeriodMs, preStopMs, announceMs } = config;
  if (!Number.isFinite(gracePeriodMs) || gracePeriodMs <= 0) {
    return `gracePeriodMs: got ${gracePeriodMs}; expected a finite number of ms above 0`;
  }
  for (const [name, value] of Object.entries({ preStopMs, announceMs })) {
    if (!Number.isFinite(value) || value < 0) return `${name}: got ${value}; expected a finite number of ms from 0`;
  }
  const budget = budgetOf(config);
  if (budget < BUDGET_MIN_MS) {
    return (
      `gracePeriodMs: ${gracePeriodMs} less preStopMs ${preStopMs} and the margin leaves ${Math.max(0, Math.floor(budget))} ms ` +
      `for the shutdown, which needs ${BUDGET_MIN_MS}; set gracePeriodMs to at least ${graceFor(BUDGET_MIN_MS, preStopMs)}`
    );
  }
  const room = announceRoom(budget);
  if (announceMs > room) {
    // The other phases need at most their full times, whatever the budget.
    const needed = announceMs + REPORT_MS + RELEASE_MS + FLUSH_MIN_MS + DRAIN_MIN_MS;
    return (
      `announceMs: ${announceMs} does not fit into a shutdown of ${Math.floor(budget)} ms; set announceMs to at most ` +
      `${Math.floor(room)} or gracePeriodMs to at least ${graceFor(needed, preStopMs)}`
    );
  }
  return null;
}

/** What an idle shutdown leaves for the announcement. */
function announceRoom(budget: number): number {
  const plan = layOut(0, budget, budget, { pendingBytes: 0, flushBytesPerSecond: null });
  return plan.announceUntil;
}

/** The least grace period, whole ms, that leaves `budget` ms. */
function graceFor(budget: number, preStopMs: number): number {
  const withFixedMargin = Math.ceil(budget + preStopMs + GRACE_MARGIN_MS);
  if (withFixedMargin * GRACE_MARGIN_SHARE <= GRACE_MARGIN_MS) return withFixedMargin;
  return Math.ceil((budget + preStopMs) / (1 - GRACE_MARGIN_SHARE));
}

function finiteOr(value: number, otherwise: number): number {
  return Number.isFinite(value) ? value : otherwise;
}
