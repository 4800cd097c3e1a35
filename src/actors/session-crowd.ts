/**
 * The sessions as the hub shows them: below the gateway, each with its chart, although none is an XState actor. The
 * newest beyond a number are counted and not shown, and with many of them the events of each are left out, so that a
 * drain of ten thousand stays readable and cheap.
 */
import { assert } from '../errors.ts';
import { type Chart, chartOf, shownValue } from '../inspection/chart.ts';
import type { Crowd } from '../inspection/crowd.ts';
import type { ActorFrame, Frame, SessionFacts, StateFrame } from '../inspection/frames.ts';
import { shortText, summariseEvent } from '../inspection/summary.ts';
import { type SessionChart, type SessionEvent, type SessionSnapshot, sessionMachine } from '../machines/session.ts';
import type { Clock } from '../ports/clock.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Sessions shown at a time. */
export const SHOWN_MAX = 2000;
/** Open sessions from which on their events are left out. */
export const EVENTS_MAX = 200;

const chart = chartOf(sessionMachine);
assert(chart !== null, 'the sessions have a chart');
const { hash, definition } = chart;

export interface SessionCrowdOptions {
  readonly sessions: Sessions;
  /** Id of the gateway's actor; null while there is none. */
  readonly parent: () => string | null;
}

interface Looking {
  readonly tell: (frame: Frame) => void;
  readonly clock: Clock;
}

interface Shown {
  readonly session: Session;
  readonly chart: SessionChart;
}

export class SessionCrowd implements Crowd {
  readonly chart = chart as Chart;
  readonly #options: SessionCrowdOptions;
  readonly #shown = new Map<string, Shown>();
  #looking: Looking | null = null;

  constructor(options: SessionCrowdOptions) {
    this.#options = options;
  }

  attach(tell: (frame: Frame) => void, clock: Clock): void {
    const { sessions } = this.#options;
    this.#looking = { tell, clock };
    for (const session of sessions.all) this.#show(session);
    sessions.watch = {
      opened: (session) => this.#opened(session),
      closed: (session) => this.#closed(session),
    };
  }

  detach(): void {
    this.#options.sessions.watch = null;
    for (const { chart: watched } of this.#shown.values()) watched.watch = null;
    this.#shown.clear();
    this.#looking = null;
  }

  *frames(): Generator<Frame> {
    if (this.#looking === null) return;
    for (const shown of this.#shown.values()) yield this.#actorFrame(shown, this.#looking.clock);
  }

  has(id: string): boolean {
    return this.#shown.has(id);
  }

  context(id: string): StateFrame | null {
    const shown = this.#shown.get(id);
    if (shown === undefined || this.#looking === null) return null;
    const { session } = shown;
    const { snapshot } = shown.chart;
    const { clock } = this.#looking;
    const context = {
      client: session.client ?? null,
      producer: session.producer ?? null,
      openMs: Math.round(clock.monotonic() - session.openedAt),
      unanswered: session.publisher.unanswered,
      subscriptions: session.commands.subscriptions,
      bufferedBytes: session.connection.bufferedBytes,
      leaving: session.left,
    };
    const value = shownValue(snapshot.value);
    return { type: 'state', at: clock.now(), id, status: statusOf(snapshot), value, context };
  }

  get facts(): SessionFacts {
    const { size } = this.#options.sessions;
    return { open: size, shown: this.#shown.size, events: size <= EVENTS_MAX };
  }

  #opened(session: Session): void {
    const shown = this.#show(session);
    if (shown !== null && this.#looking !== null) this.#looking.tell(this.#actorFrame(shown, this.#looking.clock));
  }

  /** Null when there is no room. */
  #show(session: Session): Shown | null {
    const own = this.#options.sessions.chartOf(session);
    if (own === undefined || this.#shown.size >= SHOWN_MAX) return null;
    const id = idOf(session);
    const shown = { session, chart: own };
    this.#shown.set(id, shown);
    own.watch = (event, before, after) => this.#stepped(id, event, before, after);
    return shown;
  }

  #stepped(id: string, event: SessionEvent, before: SessionSnapshot, after: SessionSnapshot): void {
    if (this.#looking === null) return;
    const { tell, clock } = this.#looking;
    const at = clock.now();
    if (this.facts.events) tell({ type: 'event', at, to: id, from: null, event: summariseEvent(event) });
    if (before === after) return;
    const value = shownValue(after.value);
    const edge = edgeOf(before, event.type);
    if (value !== null && edge !== null) tell({ type: 'step', at, id, edges: [edge], value });
    if (edge === null || after.status !== before.status) {
      tell({ type: 'state', at, id, status: statusOf(after), value });
    }
  }

  #closed(session: Session): void {
    const id = idOf(session);
    const shown = this.#shown.get(id);
    if (shown === undefined) return;
    shown.chart.watch = null;
    this.#shown.delete(id);
    this.#looking?.tell({ type: 'gone', id });
  }

  #actorFrame({ session, chart: own }: Shown, clock: Clock): ActorFrame {
    const { parent } = this.#options;
    const { snapshot } = own;
    return {
      type: 'actor',
      id: idOf(session),
      parent: parent(),
      name: shortText(session.client ?? session.id),
      machine: hash,
      kind: 'machine',
      status: statusOf(snapshot),
      value: shownValue(snapshot.value),
      since: Math.round(clock.now() - (clock.monotonic() - session.openedAt)),
    };
  }
}

function idOf(session: Session): string {
  return `session:${session.id}`;
}

function statusOf({ status }: SessionSnapshot): 'active' | 'done' {
  return status === 'done' ? 'done' : 'active';
}

/** The edge that the event takes from where the chart is: of the innermost state that answers it. */
function edgeOf(before: SessionSnapshot, type: string): number | null {
  const [active = ''] = pathsOf(before.value);
  for (let path = active; ; path = path.slice(0, Math.max(path.lastIndexOf('.'), 0))) {
    const found = definition.edges.findIndex(({ source, event }) => source === path && event === type);
    if (found >= 0) return found;
    if (path === '') return null;
  }
}

function pathsOf(value: SessionSnapshot['value']): string[] {
  if (typeof value === 'string') return [value];
  return Object.entries(value).flatMap(([key, inner]) =>
    inner === undefined ? [key] : pathsOf(inner as SessionSnapshot['value']).map((path) => `${key}.${path}`),
  );
}
