/**
 * What is known of a shutdown over time: when each phase and each state of a shard began and ended. Put together from
 * steps, which tell moments exactly, and from facts, which tell budgets. Kept when the broker is gone.
 */
import type { StateValue } from '../inspection/frames.ts';
import { hasEnded, type Shutdown } from './facts.ts';
import { outerState, stateText } from './state-value.ts';

export interface Span {
  readonly name: string;
  /** Wall time, ms. */
  readonly from: number;
  /** Null while it lasts. */
  to: number | null;
}

export interface PhaseSpan extends Span {
  /** What it may take, ms; null for one without a deadline. */
  budgetMs: number | null;
}

export interface Lane {
  readonly id: string;
  readonly spans: Span[];
  /** Its states are told by steps; facts, which come later, say nothing new. */
  stepped: boolean;
}

/** Phases of a broker that is leaving, in order. */
export const leavingPhases: readonly string[] = ['announcing', 'draining', 'flushing', 'releasing', 'stopped'];
/** A shard has a dozen states on its way out, and may be drained and resumed in between. */
const SPANS_MAX = 60;

export class ShutdownTrace {
  phases: PhaseSpan[] = [];
  lanes: Lane[] = [];
  /** Wall time at which the report is due, ms. */
  deadlineAt: number | null = null;
  /** The newest answer of `/shutdown` while it went on, and its time. */
  last: Shutdown | null = null;
  lastAt = 0;
  /** It was a drain without exit, and was called off. */
  cancelled = false;

  get begunAt(): number | null {
    return this.phases[0]?.from ?? null;
  }

  /** The phase that it is in; null before, and behind the end. */
  get phase(): string | null {
    const last = this.phases.at(-1);
    return last === undefined || last.to !== null ? null : last.name;
  }

  /** How a shard has ended; null while it goes on. */
  endOf(id: string): string | null {
    const last = this.lanes.find((lane) => lane.id === id)?.spans.at(-1)?.name;
    return last !== undefined && hasEnded(last) ? last : null;
  }

  /** A step of the supervisor. */
  supervisor(at: number, value: StateValue): void {
    this.#phase(at, outerState(value));
  }

  /** A step of a shard, or its state when it became known. */
  shard(at: number, id: string, value: StateValue): void {
    const lane = this.#lane(id);
    lane.stepped = true;
    this.#span(lane, at, stateText(value));
  }

  facts(at: number, shutdown: Shutdown): void {
    const { phase, phaseMs, phaseBudgetMs, deadlineMs } = shutdown;
    // Steps were missed when the page came late.
    const current = this.phases.at(-1);
    if (current === undefined || leavingPhases.indexOf(phase) > leavingPhases.indexOf(current.name)) {
      this.#earlier(at, shutdown);
      this.#phase(at - phaseMs, phase);
    } else if (phase === 'running' && current.name !== 'stopped') this.#phase(at - phaseMs, phase);
    if (!leavingPhases.includes(phase)) return;
    const now = this.phases.at(-1);
    if (now?.name === phase) now.budgetMs = phaseBudgetMs;
    for (const past of shutdown.phases) {
      const span = this.phases.find(({ name }) => name === past.phase);
      if (span !== undefined) span.budgetMs = past.budgetMs;
    }
    if (deadlineMs !== null) this.deadlineAt = at + deadlineMs;
    this.last = shutdown;
    this.lastAt = at;
    for (const { id, state, operation } of shutdown.shards) {
      const lane = this.#lane(id);
      if (lane.stepped && !hasEnded(state)) continue;
      this.#span(lane, at, hasEnded(state) ? state : (operation ?? state));
    }
  }

  /** The broker is gone: nothing lasts any longer. */
  end(at: number): void {
    for (const span of this.phases) span.to ??= Math.max(at, span.from);
    for (const { spans } of this.lanes) {
      for (const span of spans) span.to ??= Math.max(at, span.from);
    }
  }

  copy(): ShutdownTrace {
    const trace = new ShutdownTrace();
    trace.phases = this.phases.map((phase) => ({ ...phase }));
    trace.lanes = this.lanes.map(({ id, stepped, spans }) => ({ id, stepped, spans: spans.map((s) => ({ ...s })) }));
    trace.deadlineAt = this.deadlineAt;
    trace.last = this.last;
    trace.lastAt = this.lastAt;
    trace.cancelled = this.cancelled;
    return trace;
  }

  /** Phases that were over before the page looked. */
  #earlier(at: number, { phases, phaseMs }: Shutdown): void {
    if (this.phases.length > 0) return;
    let to = at - phaseMs;
    const earlier: PhaseSpan[] = [];
    for (const { phase, durationMs, budgetMs } of [...phases].reverse()) {
      if (!leavingPhases.includes(phase)) break;
      earlier.unshift({ name: phase, from: to - durationMs, to, budgetMs });
      to -= durationMs;
    }
    this.phases = earlier;
  }

  #phase(at: number, name: string): void {
    const current = this.phases.at(-1);
    if (current !== undefined && current.name === name && current.to === null) return;
    if (!leavingPhases.includes(name)) {
      // Served again: what was seen of the drain stays on the page until the next one begins.
      if (current !== undefined && current.to === null && current.name !== 'stopped') {
        this.end(at);
        this.cancelled = true;
      }
      return;
    }
    if (current === undefined || this.cancelled) this.#begin(at);
    const last = this.phases.at(-1);
    if (last !== undefined) last.to ??= at;
    this.phases.push({ name, from: at, to: name === 'stopped' ? at : null, budgetMs: null });
  }

  /** A new one: of the lanes only the states that last go on, from now. */
  #begin(at: number): void {
    this.phases = [];
    this.deadlineAt = null;
    this.last = null;
    this.cancelled = false;
    for (const lane of this.lanes) {
      const last = lane.spans.pop();
      lane.spans.length = 0;
      if (last !== undefined) lane.spans.push({ name: last.name, from: at, to: null });
    }
  }

  #lane(id: string): Lane {
    const known = this.lanes.find((lane) => lane.id === id);
    if (known !== undefined) return known;
    const lane: Lane = { id, spans: [], stepped: false };
    this.lanes.push(lane);
    this.lanes.sort((one, other) => (one.id < other.id ? -1 : 1));
    return lane;
  }

  #span(lane: Lane, at: number, name: string): void {
    const last = lane.spans.at(-1);
    if (last?.name === name || (last !== undefined && hasEnded(last.name))) return;
    if (last !== undefined) last.to ??= at;
    // Before anything leaves only the state that lasts is of interest.
    if (this.phases.length === 0) lane.spans.length = 0;
    lane.spans.push({ name, from: at, to: null });
    if (lane.spans.length > SPANS_MAX) lane.spans.shift();
  }
}
