/**
 * All that a page knows of a source: what its frames, applied in order, add up to. Live and replayed alike. Plain data,
 * changed in place by `apply`; views look at it some times a second. Everything in it is bounded.
 */
import type {
  ActorFrame,
  ActorKind,
  ActorStatus,
  Batch,
  EventFrame,
  FactsFrame,
  Frame,
  Json,
  MachineFrame,
  Permissions,
  SessionFacts,
  Source,
  StateValue,
} from '../inspection/frames.ts';
import { type Shutdown, type Status, shutdownOf, statusOf } from './facts.ts';
import { History } from './history.ts';
import { Ring } from './ring.ts';
import { ShutdownTrace } from './shutdown-trace.ts';

/** Events that are kept to be scrolled through. */
export const EVENTS_MAX = 20_000;
/** Actors that are gone and can still be looked at, sessions left out. */
const GONE_MAX = 200;
/** Contexts that were asked for and are kept, and notices of the source. */
const CONTEXTS_MAX = 20;
const NOTICES_MAX = 20;

export interface ShownActor {
  readonly id: string;
  readonly parent: string | null;
  readonly name: string;
  readonly machine: string | null;
  readonly kind: ActorKind;
  readonly since: number;
  status: ActorStatus;
  value: StateValue | null;
  /** When it last changed. */
  changedAt: number;
  /** Edges that the last step took. */
  edges: readonly number[];
  /** Steps seen. */
  steps: number;
  error: string | null;
  gone: boolean;
}

export interface LoggedEvent {
  /** Counts up; what lists tell entries apart by. */
  readonly number: number;
  readonly at: number;
  /** A step's edges are those of the actor `to`. */
  readonly kind: 'event' | 'step';
  readonly to: string;
  readonly from: string | null;
  readonly type: string;
  readonly body: EventFrame['event'] | null;
  readonly value: StateValue | null;
}

export class World {
  source: Source | null = null;
  may: Permissions = { send: false, act: false };
  readonly machines: Map<string, MachineFrame>;
  readonly actors = new Map<string, ShownActor>();
  readonly children = new Map<string, Set<string>>();
  events = new Ring<LoggedEvent>(EVENTS_MAX);
  history = new History();
  trace = new ShutdownTrace();
  facts: FactsFrame | null = null;
  status: Status | null = null;
  shutdown: Shutdown | null = null;
  sessions: SessionFacts | null = null;
  readonly contexts = new Map<string, { readonly at: number; readonly context: Json }>();
  readonly notices: string[] = [];
  /** Time of the newest batch, wall ms of the source. */
  at = 0;
  dropped = 0;
  ended: { readonly at: number; readonly reason: string } | null = null;
  /** Goes up whenever an actor comes or goes. */
  structure = 0;
  /** The machine that changed last, sessions left out. */
  lastChanged: string | null = null;
  #gone: string[] = [];

  /** `machines`: those known from before; a recording tells each once. */
  constructor(machines: Map<string, MachineFrame> = new Map()) {
    this.machines = machines;
  }

  apply(batch: Batch): void {
    this.at = Math.max(this.at, batch.at);
    this.dropped = batch.dropped;
    for (const frame of batch.frames) this.#take(frame, batch.at);
  }

  /**
   * A `hello` that is not the first: the connection was made again, and the tree is told anew; or another run has taken the
   * place of this one, of which only what happened is kept. A root with no machine is of the recording, and of no run.
   */
  #again({ pid, startedAt }: Source): void {
    if (this.source === null) return;
    for (const actor of this.actors.values()) {
      if (actor.parent === null && actor.machine === null && !this.children.has(actor.id)) continue;
      this.#unlink(actor);
      this.actors.delete(actor.id);
    }
    this.#gone = [];
    this.structure += 1;
    if (this.source.pid === pid && this.source.startedAt === startedAt) return;
    this.trace = new ShutdownTrace();
    this.contexts.clear();
    this.facts = null;
    this.status = null;
    this.shutdown = null;
    this.sessions = null;
    this.lastChanged = null;
  }

  /** Nothing more will come: what lasted ends now. */
  close(reason: string): void {
    this.ended ??= { at: this.at, reason };
    this.trace.end(this.at);
  }

  /** What a viewer that came now would be told first, its machines left out. */
  keyframe(): Batch {
    const frames: Frame[] = [];
    if (this.source !== null) {
      frames.push({ type: 'hello', source: this.source, protocol: 1, now: this.at, may: this.may });
    }
    for (const { id, parent, name, machine, kind, status, value, since, gone } of this.actors.values()) {
      if (!gone) frames.push({ type: 'actor', id, parent, name, machine, kind, status, value, since });
    }
    if (this.facts !== null) frames.push(this.facts);
    return { v: 1, seq: 0, at: this.at, dropped: this.dropped, frames };
  }

  #take(frame: Frame, at: number): void {
    switch (frame.type) {
      case 'hello':
        this.#again(frame.source);
        this.source = frame.source;
        this.may = frame.may;
        this.ended = null;
        return;
      case 'machine':
        // It is told first with no picture, while that is drawn; gone back to in a recording, it stays drawn.
        if (frame.picture !== '' || !this.machines.has(frame.hash)) this.machines.set(frame.hash, frame);
        return;
      case 'actor':
        this.#actor(frame, at);
        return;
      case 'gone':
        this.#remove(frame.id);
        return;
      case 'event':
        this.#event(frame);
        return;
      case 'step':
        this.#step(frame.id, frame.at, frame.edges, frame.value);
        return;
      case 'state':
        if (frame.context !== undefined) this.#context(frame.id, frame.at, frame.context);
        this.#state(frame.id, frame.at, frame.status, frame.value, frame.error ?? null);
        return;
      case 'facts':
        this.#facts(frame);
        return;
      case 'error':
        this.notices.push(frame.message);
        if (this.notices.length > NOTICES_MAX) this.notices.shift();
        return;
      case 'end':
        this.ended = { at, reason: frame.reason };
        this.trace.end(at);
        return;
      default:
        // A newer source may say more than this page knows.
        frame satisfies never;
    }
  }

  #actor(frame: ActorFrame, at: number): void {
    const { id, parent, name, machine, kind, status, value, since } = frame;
    const known = this.actors.get(id);
    if (known !== undefined) this.#unlink(known);
    this.actors.set(id, {
      id,
      parent,
      name,
      machine,
      kind,
      since,
      status,
      value,
      changedAt: known?.changedAt ?? Math.min(since, at),
      edges: known?.edges ?? [],
      steps: known?.steps ?? 0,
      error: null,
      gone: false,
    });
    const siblings = this.children.get(parent ?? '') ?? new Set();
    siblings.add(id);
    this.children.set(parent ?? '', siblings);
    this.structure += 1;
    // Since when a phase lasts is not in this frame; the facts that come with it tell.
    if (value !== null && this.machines.get(machine ?? '')?.id === 'shard') this.trace.shard(at, name, value);
  }

  #remove(id: string): void {
    const actor = this.actors.get(id);
    if (actor === undefined) return;
    this.structure += 1;
    this.contexts.delete(id);
    if (isSession(id)) {
      this.#unlink(actor);
      this.actors.delete(id);
      return;
    }
    actor.gone = true;
    this.#gone.push(id);
    if (this.#gone.length <= GONE_MAX) return;
    const oldest = this.actors.get(this.#gone.shift() ?? '');
    if (oldest?.gone !== true) return;
    this.#unlink(oldest);
    this.actors.delete(oldest.id);
  }

  #unlink({ id, parent }: ShownActor): void {
    const siblings = this.children.get(parent ?? '');
    siblings?.delete(id);
    if (siblings?.size === 0) this.children.delete(parent ?? '');
  }

  #event({ at, to, from, event }: EventFrame): void {
    const number = this.events.added;
    this.events.push({ number, at, kind: 'event', to, from, type: event.type, body: event, value: null });
  }

  #step(id: string, at: number, edges: readonly number[], value: StateValue): void {
    const actor = this.actors.get(id);
    if (actor === undefined) return;
    const number = this.events.added;
    this.events.push({ number, at, kind: 'step', to: id, from: null, type: '', body: null, value });
    actor.value = value;
    actor.edges = edges;
    this.#changed(actor, at, value);
  }

  #state(id: string, at: number, status: ActorStatus, value: StateValue | null, error: string | null): void {
    const actor = this.actors.get(id);
    if (actor === undefined) return;
    actor.status = status;
    if (error !== null) actor.error = error;
    // That it is done may come behind the step that made it so: the edge of that stays the last one.
    if (JSON.stringify(actor.value) === JSON.stringify(value)) return;
    actor.value = value;
    actor.edges = [];
    this.#changed(actor, at, value);
  }

  #changed(actor: ShownActor, at: number, value: StateValue | null): void {
    actor.changedAt = at;
    actor.steps += 1;
    if (value === null) return;
    if (!isSession(actor.id)) this.lastChanged = actor.id;
    this.#trace(actor.id, at, value);
  }

  #trace(id: string, at: number, value: StateValue): void {
    const actor = this.actors.get(id);
    const machine = this.machines.get(actor?.machine ?? '');
    if (actor === undefined || machine === undefined) return;
    if (machine.id === 'shard') this.trace.shard(at, actor.name, value);
    else if (machine.id === 'supervisor') this.trace.supervisor(at, value);
  }

  #facts(frame: FactsFrame): void {
    this.facts = frame;
    this.status = statusOf(frame.status);
    this.shutdown = shutdownOf(frame.shutdown);
    this.sessions = frame.sessions;
    this.history.add(frame, this.status, this.shutdown);
    if (this.shutdown !== null) this.trace.facts(frame.at, this.shutdown);
  }

  #context(id: string, at: number, context: Json): void {
    this.contexts.delete(id);
    this.contexts.set(id, { at, context });
    const [oldest] = this.contexts.keys();
    if (this.contexts.size > CONTEXTS_MAX && oldest !== undefined) this.contexts.delete(oldest);
  }
}

/** Sessions come and go by the thousand: they are shown, and never followed or kept. */
export function isSession(id: string): boolean {
  return id.startsWith('session:');
}
