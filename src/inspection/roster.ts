/**
 * The actors that a hub knows, as frames: found by walking a system from its root, kept by what the system tells. Bounded:
 * actors beyond are counted and not shown. Holds actors only while somebody looks. Made by the hub.
 */
import {
  type AnyActorRef,
  fromCallback,
  fromEventObservable,
  fromObservable,
  fromPromise,
  fromTransition,
} from 'xstate';
import { type Chart, chartOf, shownValue } from './chart.ts';
import type { ActorFrame, ActorKind, ActorStatus, StateValue } from './frames.ts';
import { shortText } from './summary.ts';

/** Most actors shown at a time. */
export const ACTORS_MAX = 10_000;
/** Most charts: actors with another are shown without theirs. A program may make machines without end. */
export const CHARTS_MAX = 500;

/** What is read of an actor's snapshot, whatever its logic. */
export interface SnapshotLike {
  readonly status: ActorStatus;
  readonly value?: unknown;
  readonly context?: unknown;
  readonly children?: Readonly<Record<string, AnyActorRef | undefined>>;
  readonly error?: unknown;
}

export interface Known {
  readonly id: string;
  readonly ref: AnyActorRef;
  readonly parent: string | null;
  readonly name: string;
  readonly kind: ActorKind;
  readonly chart: Chart | null;
  readonly since: number;
  status: ActorStatus;
  value: StateValue | null;
  /** As seen last: XState makes a new object when a child comes or goes. */
  children: unknown;
  /** Edges taken since the last snapshot. */
  edges: number[];
}

export class Roster {
  readonly #known = new Map<string, Known>();
  readonly #childrenOf = new Map<string, Set<string>>();
  /** Hashes of the charts shown. */
  readonly #charts = new Set<string>();
  /** Actors that were taken out: some tell their end after that. Not held. */
  #gone = new WeakSet<AnyActorRef>();
  /** Actors that there was no room for; not held. */
  #left = new WeakSet<AnyActorRef>();
  #unlisted = 0;

  /** Actors that there was no room for. */
  get unlisted(): number {
    return this.#unlisted;
  }

  get all(): Iterable<Known> {
    return this.#known.values();
  }

  get(id: string): Known | undefined {
    return this.#known.get(id);
  }

  /** Adds an actor; null when it is known already, or there is no room. */
  add(ref: AnyActorRef, now: number): Known | null {
    const id = ref.sessionId;
    if (this.#known.has(id)) return null;
    if (this.#known.size >= ACTORS_MAX) {
      if (!this.#left.has(ref)) this.#unlisted += 1;
      this.#left.add(ref);
      return null;
    }
    const logic = logicOf(ref);
    const chart = this.#shownChart(logic);
    const snapshot = snapshotOf(ref);
    const known: Known = {
      id,
      ref,
      parent: parentOf(ref)?.sessionId ?? null,
      name: nameOf(ref),
      kind: kindOf(logic),
      chart,
      since: now,
      status: snapshot?.status ?? 'active',
      value: chart === null ? null : shownValue(snapshot?.value),
      children: snapshot?.children,
      edges: [],
    };
    this.#known.set(id, known);
    if (known.parent !== null) {
      const siblings = this.#childrenOf.get(known.parent) ?? new Set();
      siblings.add(id);
      this.#childrenOf.set(known.parent, siblings);
    }
    return known;
  }

  /** Adds what is there, parents before their children; yields the new ones. */
  *walk(root: AnyActorRef, now: number): Generator<Known> {
    const waiting = [root];
    for (let ref = waiting.shift(); ref !== undefined; ref = waiting.shift()) {
      const added = this.add(ref, now);
      if (added !== null) yield added;
      const { children } = snapshotOf(ref) ?? {};
      for (const child of Object.values(children ?? {})) if (child !== undefined) waiting.push(child);
    }
  }

  /** Takes out an actor and all below it; ids of those, the deepest first. */
  remove(id: string): string[] {
    const known = this.#known.get(id);
    if (known === undefined) return [];
    const below = [...(this.#childrenOf.get(id) ?? [])].flatMap((child) => this.remove(child));
    this.#known.delete(id);
    this.#gone.add(known.ref);
    this.#childrenOf.delete(id);
    if (known.parent !== null) this.#childrenOf.get(known.parent)?.delete(id);
    return [...below, id];
  }

  #shownChart(logic: unknown): Chart | null {
    const chart = chartOf(logic);
    if (chart === null || this.#charts.has(chart.hash)) return chart;
    if (this.#charts.size >= CHARTS_MAX) return null;
    this.#charts.add(chart.hash);
    return chart;
  }

  isGone(ref: AnyActorRef): boolean {
    return this.#gone.has(ref);
  }

  /** An actor stopped that there was no room for. */
  forget(ref: AnyActorRef): void {
    if (this.#left.delete(ref)) this.#unlisted -= 1;
  }

  /** Those of `known`'s children that its snapshot has no more. */
  lostChildren(known: Known, snapshot: SnapshotLike): string[] {
    if (snapshot.children === undefined || snapshot.children === known.children) return [];
    known.children = snapshot.children;
    const there = new Set(Object.values(snapshot.children).map((child) => child?.sessionId));
    return [...(this.#childrenOf.get(known.id) ?? [])].filter((id) => !there.has(id));
  }

  clear(): void {
    this.#known.clear();
    this.#childrenOf.clear();
    this.#charts.clear();
    this.#left = new WeakSet();
    this.#gone = new WeakSet();
    this.#unlisted = 0;
  }
}

export function actorFrame({ id, parent, name, chart, kind, status, value, since }: Known): ActorFrame {
  return { type: 'actor', id, parent, name, machine: chart?.hash ?? null, kind, status, value, since };
}

/** An invoked actor without an id of its own is called what it runs: `settle`, for `0.shard.draining.settling`. */
function nameOf({ id, src }: AnyActorRef): string {
  return shortText(/^\d+\./.test(id) && typeof src === 'string' ? src : id);
}

/** The snapshot of an actor; null when it has none yet, since it is being made. */
export function snapshotOf(ref: AnyActorRef): SnapshotLike | null {
  return (ref.getSnapshot() as SnapshotLike | undefined) ?? null;
}

/** The actor that made this one; undefined for the root of a system. */
export function parentOf(ref: AnyActorRef): AnyActorRef | undefined {
  return ref._parent;
}

function logicOf(ref: AnyActorRef): unknown {
  return (ref as { readonly logic?: unknown }).logic;
}

/** XState's logic does not say what it is; each kind is known by the code that it steps with. */
const kinds: ReadonlyMap<string, ActorKind> = new Map(
  [
    ['promise', fromPromise(async () => {})] as const,
    ['callback', fromCallback(() => {})] as const,
    ['observable', fromObservable(() => ({ subscribe: () => ({ unsubscribe: () => {} }) }))] as const,
    ['observable', fromEventObservable(() => ({ subscribe: () => ({ unsubscribe: () => {} }) }))] as const,
    ['transition', fromTransition((state: object) => state, {})] as const,
  ].map(([kind, logic]): [string, ActorKind] => [String(logic.transition), kind]),
);

const kindsOfLogic = new WeakMap<object, ActorKind>();

function kindOf(logic: unknown): ActorKind {
  if (chartOf(logic) !== null) return 'machine';
  if (typeof logic !== 'object' || logic === null) return 'other';
  const known = kindsOfLogic.get(logic);
  if (known !== undefined) return known;
  const kind = kinds.get(String((logic as { readonly transition?: unknown }).transition)) ?? 'other';
  kindsOfLogic.set(logic, kind);
  return kind;
}
