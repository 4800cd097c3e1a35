/**
 * The hub: shows the actors of an XState system to viewers, as frames. It looks only while somebody does: the first
 * viewer attaches it, the last one's end detaches it, and in between actors pay for what is shown of them. A viewer that
 * comes late is told the whole tree first. It never throws into the actors that it looks at: what goes wrong within it is
 * given to `failed`. Made by the broker and by `inspect`; sockets and recorders join it.
 */
import type { AnyActorRef, InspectionEvent, Subscription } from 'xstate';
import type { Clock, TimerHandle } from '../ports/clock.ts';
import { shownValue } from './chart.ts';
import { ChartShelf } from './chart-shelf.ts';
import type { Crowd } from './crowd.ts';
import type { Frame, Json, Permissions, Source, StateFrame, ViewerMessage } from './frames.ts';
import { actorFrame, type Known, parentOf, Roster, type SnapshotLike, snapshotOf } from './roster.ts';
import { errorText, summariseContext, summariseEvent } from './summary.ts';
import { type Sink, Viewer } from './viewer.ts';

/** What a source says of itself once a second. */
export interface Facts {
  readonly status: Json;
  readonly shutdown: Json;
}

export interface HubOptions {
  readonly source: Source;
  /** Any actor of the system that is shown; null while there is none. Asked when a viewer comes. */
  readonly actor: () => AnyActorRef | null;
  readonly may: Permissions;
  readonly clock: Clock;
  readonly facts: (() => Facts) | null;
  /** Actors that are many and are no XState actors. */
  readonly crowd: Crowd | null;
  /** An error within the hub, which the actors don't see. */
  readonly failed: (error: unknown, what: string) => void;
}

/** One viewer's place at a hub. */
export interface Seat {
  /** Takes a message of the viewer; what can't be done is answered with an `error`. */
  take(message: ViewerMessage): void;
  /** Leaves; with a reason, which the viewer is told, when the source ends. */
  leave(reason?: string): void;
  readonly dropped: number;
}

const FACTS_MS = 1000;

export class InspectionHub {
  readonly #options: HubOptions;
  readonly #viewers = new Set<Viewer>();
  readonly #roster = new Roster();
  /** Actors that were sent to in this turn. */
  readonly #touched = new Set<Known>();
  readonly #charts: ChartShelf;
  #watching: Subscription | null = null;
  #root: AnyActorRef | null = null;
  #timer: TimerHandle | null = null;
  #events = 0;
  #factsAt = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#charts = new ChartShelf({ drawn: (frame) => this.#all(frame), failed: options.failed });
  }

  /** Viewers at present. */
  get viewers(): number {
    return this.#viewers.size;
  }

  /** It looks at the system now. */
  get attached(): boolean {
    return this.#watching !== null;
  }

  /** The configuration of a machine as JSON; null where its hash is not known. */
  configOf(hash: string): string | null {
    return this.#charts.configOf(hash);
  }

  /** Throws what the system, or the sink, throws while it is looked at first; nothing of the viewer is left then. */
  join(sink: Sink): Seat {
    const { clock } = this.#options;
    const viewer = new Viewer(sink, { clock, tree: (told) => this.#tree(told) });
    try {
      this.#welcome(viewer);
    } catch (error) {
      this.#viewers.delete(viewer);
      this.#guard('a viewer that could not be shown anything', () => viewer.end(null));
      this.#rest();
      throw error;
    }
    return {
      take: (message) => this.#guard('a message of a viewer', () => this.#take(viewer, message)),
      leave: (reason) => this.#leave(viewer, reason),
      get dropped() {
        return viewer.dropped;
      },
    };
  }

  #welcome(viewer: Viewer): void {
    const { source, may, crowd, clock } = this.#options;
    if (this.#viewers.size === 0) crowd?.attach((frame) => this.#crowdFrame(frame), clock);
    this.#attach();
    this.#viewers.add(viewer);
    viewer.begin({ type: 'hello', source, protocol: 1, now: clock.now(), may });
    const facts = this.#facts();
    if (facts !== null) this.#give(viewer, facts);
    this.#schedule();
  }

  #leave(viewer: Viewer, reason: string | undefined): void {
    if (!this.#viewers.delete(viewer)) return;
    try {
      // A shutdown may have passed between two looks: the last one tells what its phases had.
      const facts = reason === undefined ? null : this.#facts();
      if (facts !== null) this.#give(viewer, facts);
      viewer.end(reason === undefined ? null : { type: 'end', reason });
    } finally {
      this.#rest();
    }
  }

  /** Looks no more, and keeps nothing, when there is nobody to look for. */
  #rest(): void {
    if (this.#viewers.size > 0) return;
    this.#watching?.unsubscribe();
    this.#watching = null;
    this.#root = null;
    this.#roster.clear();
    this.#charts.clear();
    this.#touched.clear();
    this.#options.crowd?.detach();
    if (this.#timer !== null) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Looks at the system, and finds those of its actors that it does not know. */
  #attach(): void {
    const { clock, actor } = this.#options;
    if (this.#watching === null) {
      const any = actor();
      if (any === null) return;
      this.#root = rootOf(any);
      this.#factsAt = clock.monotonic();
      this.#events = 0;
      this.#watching = this.#root.system.inspect((event: InspectionEvent) =>
        this.#guard('an inspected event', () => this.#see(event)),
      );
    }
    if (this.#root === null) return;
    for (const known of this.#roster.walk(this.#root, clock.now())) this.#tell(actorFrame(known), known);
  }

  /** The tree as it is: for a viewer that knows `told`, what is gone first. */
  *#tree(told: ReadonlySet<string>): Generator<Frame> {
    const { crowd } = this.#options;
    for (const id of told) {
      if (this.#roster.get(id) === undefined && crowd?.has(id) !== true) yield { type: 'gone', id };
    }
    const machines = new Set<string>();
    for (const known of this.#roster.all) {
      if (known.chart !== null && !machines.has(known.chart.hash)) yield this.#charts.frame(known.chart);
      if (known.chart !== null) machines.add(known.chart.hash);
      yield actorFrame(known);
    }
    if (crowd === null) return;
    yield this.#charts.frame(crowd.chart);
    yield* crowd.frames();
  }

  // --- what the system tells ---

  #see(event: InspectionEvent): void {
    const ref = event.actorRef as AnyActorRef;
    switch (event.type) {
      case '@xstate.event':
        this.#events += 1;
        if (!this.#touch(this.#meet(ref))) return;
        this.#all({
          type: 'event',
          at: this.#options.clock.now(),
          to: ref.sessionId,
          from: (event.sourceRef as AnyActorRef | undefined)?.sessionId ?? null,
          event: summariseEvent(event.event),
        });
        return;
      case '@xstate.microstep': {
        const known = this.#roster.get(ref.sessionId);
        if (known?.chart !== undefined && known.chart !== null) {
          known.edges.push(...known.chart.edgesOf(event._transitions));
        }
        return;
      }
      case '@xstate.snapshot':
        this.#snapshot(ref, event.snapshot as SnapshotLike);
        return;
      default:
        // An actor that was made has no snapshot yet: it is met with its first event.
        return;
    }
  }

  /** False for an actor that is not shown. One that fails tells no snapshot, so it is looked at once the turn is over. */
  #touch(known: Known | undefined): boolean {
    if (known === undefined) return false;
    if (this.#touched.size === 0) {
      this.#options.clock.defer(() => this.#guard('looking at what was sent to', () => this.#lookAgain()));
    }
    this.#touched.add(known);
    return true;
  }

  #lookAgain(): void {
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const known of touched) {
      const snapshot = snapshotOf(known.ref);
      if (snapshot !== null && snapshot.status !== known.status && this.#roster.get(known.id) === known) {
        this.#snapshot(known.ref, snapshot);
      }
    }
  }

  /** Adds an actor that is not known yet, those it came from first. */
  #meet(ref: AnyActorRef): Known | undefined {
    const known = this.#roster.get(ref.sessionId);
    if (known !== undefined || this.#roster.isGone(ref)) return known;
    const parent = parentOf(ref);
    if (parent !== undefined && this.#roster.get(parent.sessionId) === undefined) this.#meet(parent);
    const added = this.#roster.add(ref, this.#options.clock.now());
    if (added === null) return undefined;
    this.#tell(actorFrame(added), added);
    return added;
  }

  #tell(frame: Frame, known: Known): void {
    if (known.chart !== null && !this.#charts.has(known.chart.hash)) this.#all(this.#charts.frame(known.chart));
    this.#all(frame);
  }

  #snapshot(ref: AnyActorRef, snapshot: SnapshotLike): void {
    const known = this.#meet(ref);
    if (known === undefined) {
      if (snapshot.status === 'stopped') this.#roster.forget(ref);
      return;
    }
    const at = this.#options.clock.now();
    const { id, edges } = known;
    const value = known.chart === null ? null : shownValue(snapshot.value);
    const moved = JSON.stringify(value) !== JSON.stringify(known.value);
    const status = known.status !== snapshot.status;
    known.value = value;
    known.status = snapshot.status;
    known.edges = [];
    if (edges.length > 0 && value !== null) this.#all({ type: 'step', at, id, edges, value });
    if (status || (moved && edges.length === 0)) this.#all(this.#stateFrame(known, snapshot, at));
    for (const lost of this.#roster.lostChildren(known, snapshot)) this.#remove(lost);
    if (snapshot.status === 'stopped') this.#remove(id);
  }

  #stateFrame({ id, status, value }: Known, snapshot: SnapshotLike, at: number): StateFrame {
    return {
      type: 'state',
      at,
      id,
      status,
      value,
      ...(status === 'error' ? { error: errorText(snapshot.error) } : {}),
    };
  }

  /** Its parent lets go of a child that ended before the child's own end is told: that is told first. */
  #remove(id: string): void {
    const known = this.#roster.get(id);
    const snapshot = known === undefined ? null : snapshotOf(known.ref);
    if (known !== undefined && snapshot !== null && snapshot.status !== known.status) {
      known.status = snapshot.status;
      known.value = known.chart === null ? null : shownValue(snapshot.value);
      this.#all(this.#stateFrame(known, snapshot, this.#options.clock.now()));
    }
    for (const gone of this.#roster.remove(id)) this.#all({ type: 'gone', id: gone });
  }

  #crowdFrame(frame: Frame): void {
    this.#guard('a session', () => {
      if (frame.type === 'event') this.#events += 1;
      this.#all(frame);
    });
  }

  // --- what viewers ask ---

  #take(viewer: Viewer, message: ViewerMessage): void {
    switch (message.type) {
      case 'follow':
        viewer.follow(message.ids);
        return;
      case 'context':
        this.#give(viewer, this.#contextOf(message.id));
        return;
      case 'send':
        this.#send(viewer, message.id, message.event);
        return;
    }
  }

  #contextOf(id: string): Frame {
    const crowd = this.#options.crowd?.context(id) ?? null;
    if (crowd !== null) return crowd;
    const known = this.#roster.get(id);
    const snapshot = known === undefined ? null : snapshotOf(known.ref);
    if (known === undefined || snapshot === null)
      return { type: 'error', message: `there is no actor ${id.slice(0, 100)}` };
    const frame = this.#stateFrame(known, snapshot, this.#options.clock.now());
    return { ...frame, context: summariseContext(snapshot.context ?? null) };
  }

  #send(viewer: Viewer, id: string, event: { readonly type: string }): void {
    const known = this.#roster.get(id);
    if (!this.#options.may.send) {
      this.#give(viewer, { type: 'error', message: 'events may not be sent here: the source does not allow it' });
    } else if (known === undefined) {
      this.#give(viewer, { type: 'error', message: `there is no actor ${id.slice(0, 100)} to send to` });
    } else {
      known.ref.send(event);
    }
  }

  // --- facts ---

  #schedule(): void {
    this.#timer ??= this.#options.clock.setTimeout(() => {
      this.#timer = null;
      // A system that was not there when the first viewer came.
      this.#guard('attaching', () => this.#attach());
      this.#guard('facts', () => {
        const facts = this.#facts();
        if (facts !== null) this.#all(facts);
      });
      this.#schedule();
    }, FACTS_MS);
  }

  #facts(): Frame | null {
    const { clock, facts, crowd } = this.#options;
    try {
      const now = clock.monotonic();
      const seconds = Math.max(now - this.#factsAt, 1) / 1000;
      const eventsPerSecond = Math.round(this.#events / seconds);
      this.#factsAt = now;
      this.#events = 0;
      const { status, shutdown } = facts?.() ?? { status: null, shutdown: null };
      const sessions = crowd?.facts ?? null;
      const { unlisted } = this.#roster;
      return { type: 'facts', at: clock.now(), status, shutdown, sessions, eventsPerSecond, unlisted };
    } catch (error) {
      this.#options.failed(error, 'asking for facts');
      return null;
    }
  }

  // --- frames ---

  #all(frame: Frame): void {
    const text = JSON.stringify(frame);
    for (const viewer of this.#viewers) viewer.take(frame, text);
  }

  #give(viewer: Viewer, frame: Frame): void {
    viewer.take(frame, JSON.stringify(frame));
  }

  /** An observer that throws would take the event from the actor that it is for. */
  #guard(what: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.failed(error, what);
    }
  }
}

function rootOf(actor: AnyActorRef): AnyActorRef {
  let root = actor;
  for (let parent = parentOf(root); parent !== undefined; parent = parentOf(root)) root = parent;
  return root;
}
