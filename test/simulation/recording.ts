/**
 * A recording of a run, for `sluice replay` and the console: what every broker process of it showed, on the simulated
 * clock, and beside it the run's own history, as events to an actor `simulation`: steps of the plan, kills, what clients
 * sent and were told, what broke.
 *
 * The run is not changed by it: hubs have timers of their own, which fire between those of the simulation, and the
 * history of a run that is recorded hashes as that of one that is not.
 */
import { writeFileSync } from 'node:fs';
import type { InspectionEvent } from 'xstate';
import { type MakeHub, newHub } from '../../src/actors/broker-inspection.ts';
import { type Batch, type Frame, recordingHeader } from '../../src/inspection/frames.ts';
import type { InspectionHub, Seat } from '../../src/inspection/hub.ts';
import { pictureOf } from '../../src/inspection/picture-drawer.ts';
import { summariseEvent } from '../../src/inspection/summary.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import type { HistoryEvent } from './history.ts';
import type { Plan } from './plan.ts';

/** Longest stretch of history that goes into one batch, ms. */
const BATCH_MS = 50;
const SIMULATION = 'simulation';

type Told = Pick<Batch, 'at' | 'frames'>;

/** What became of a run. */
export interface RecordedRun {
  readonly plan: Plan;
  readonly history: readonly HistoryEvent[];
  readonly violations: readonly { readonly invariant: string; readonly text: string }[];
}

/** How one broker process is recorded. */
export interface RecordedBroker {
  readonly hub: MakeHub;
  readonly inspect: (event: InspectionEvent) => void;
  /** The process is no more, and why. */
  readonly gone: (reason: string) => void;
}

export class Recording {
  readonly #name: string;
  readonly #told: Told[] = [];
  /** Actors of the process that runs. */
  readonly #actors = new Set<string>();
  /** That of the run, and one beside it for the timers of hubs. */
  #clock = new SimulatedClock();
  #own = new SimulatedClock();
  #epoch = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** A run begins, on this clock. */
  begin(clock: SimulatedClock): void {
    this.#clock = clock;
    this.#epoch = clock.now() - Math.floor(clock.monotonic());
    this.#own = new SimulatedClock(this.#epoch);
    const frames: Frame[] = [
      this.#hello(0),
      {
        ...{ type: 'actor', id: SIMULATION, parent: null, name: this.#name, machine: null, kind: 'other' },
        ...{ status: 'active', value: null, since: this.#epoch },
      },
    ];
    this.#told.push({ at: this.#epoch, frames });
  }

  /** Time is to move on to `until`, ms of the run's clock. */
  pass(until: number | null): void {
    while (this.#own.fireNext(until ?? this.#time));
  }

  /** Process `number` of the run, from 1. */
  broker(number: number): RecordedBroker {
    const clock = this.#clockFrom(this.#time);
    let hub: InspectionHub | null = null;
    let seat: Seat | null = null;
    return {
      hub: (options) => {
        hub = newHub({ ...options, clock, source: this.#hello(number).source });
        return hub;
      },
      // Its first event reaches an actor once it starts: from there on there is something to see.
      inspect: ({ type }) => {
        if (type !== '@xstate.event' || hub === null || seat !== null) return;
        seat = hub.join({ send: (text) => this.#take(JSON.parse(text) as Batch), bufferedBytes: 0 });
      },
      gone: (reason) => {
        seat?.leave(reason);
        const frames = [...this.#actors].map((id): Frame => ({ type: 'gone', id }));
        this.#actors.clear();
        this.#told.push({ at: clock.now(), frames });
      },
    };
  }

  /** Writes the file, with all pictures. */
  async write(file: string, run: RecordedRun): Promise<void> {
    const pictures = await this.#draw();
    const lines: string[] = [JSON.stringify(recordingHeader)];
    for (const { at, frames } of withHistory(this.#told, this.#eventsOf(run))) {
      const shown = frames.map((frame) =>
        frame.type === 'machine' ? { ...frame, picture: pictures.get(frame.hash) ?? '' } : frame,
      );
      if (shown.length === 0) continue;
      lines.push(JSON.stringify({ v: 1, seq: lines.length - 1, at, dropped: 0, frames: shown } satisfies Batch));
    }
    writeFileSync(file, `${lines.join('\n')}\n`);
  }

  get #time(): number {
    return Math.max(this.#clock.monotonic(), this.#own.monotonic());
  }

  #clockFrom(began: number): Clock {
    return {
      now: () => this.#epoch + Math.floor(this.#time),
      monotonic: () => this.#time - began,
      setTimeout: (callback, ms) => this.#own.setTimeout(callback, ms + this.#time - this.#own.monotonic()),
      clearTimeout: (timer) => this.#own.clearTimeout(timer),
      defer: (callback) => queueMicrotask(callback),
    };
  }

  #hello(broker: number): Extract<Frame, { readonly type: 'hello' }> {
    const startedAt = this.#epoch + Math.floor(this.#time);
    return {
      type: 'hello',
      source: { name: `simulation ${this.#name}`, version: '', pid: broker, startedAt, host: 'simulated' },
      protocol: 1,
      now: startedAt,
      may: { send: false, act: false },
    };
  }

  #take({ at, frames }: Batch): void {
    const kept: Frame[] = [];
    for (const frame of frames) {
      if (frame.type === 'actor') this.#actors.add(frame.id);
      else if (frame.type === 'gone') this.#actors.delete(frame.id);
      // A run is over sooner than its pictures are drawn: they are put in at the end, where a chart is told first.
      if (frame.type === 'machine' && this.#knows(frame.hash, kept)) continue;
      kept.push(frame.type === 'hello' ? { ...frame, may: { send: false, act: false } } : frame);
    }
    this.#told.push({ at, frames: kept });
  }

  #knows(hash: string, kept: readonly Frame[]): boolean {
    const has = (frames: readonly Frame[]): boolean =>
      frames.some((frame) => frame.type === 'machine' && frame.hash === hash);
    return has(kept) || this.#told.some(({ frames }) => has(frames));
  }

  async #draw(): Promise<ReadonlyMap<string, string>> {
    const pictures = new Map<string, string>();
    for (const frame of this.#told.flatMap(({ frames }) => frames)) {
      if (frame.type !== 'machine') continue;
      const failed = (why: string): void => void process.emitWarning(why);
      pictures.set(frame.hash, await pictureOf(frame.hash, frame.definition, failed));
    }
    return pictures;
  }

  /** The history as events, in the order of time, and the end. */
  #eventsOf({ plan, history, violations }: RecordedRun): Frame[] {
    const event = (t: number, fields: { readonly type: string }): Frame => ({
      ...{ type: 'event', at: this.#epoch + Math.floor(t), to: SIMULATION, from: null },
      event: summariseEvent(fields),
    });
    const last = history.at(-1)?.t ?? 0;
    return [
      ...history.map(({ t, e, ...fields }) => {
        const step = e === 'step' && 'index' in fields ? plan.steps[fields.index] : undefined;
        return event(t, { type: step === undefined ? e : `step.${step.do}`, ...fields, ...step });
      }),
      ...violations.map(({ invariant, text }) => event(last, { type: 'violation', ...{ invariant, text } })),
      { type: 'end', reason: violations.length === 0 ? 'the run is over' : `${violations.length} violations` },
    ];
  }
}

/** Puts events between what was told, each where its time is; a stretch in which nothing was told gets batches too. */
function* withHistory(told: readonly Told[], events: readonly Frame[]): Generator<Told> {
  let next = 0;
  const atOf = (frame: Frame | undefined, otherwise: number): number =>
    frame !== undefined && 'at' in frame ? frame.at : otherwise;
  const upTo = (at: number): Frame[] => {
    const from = next;
    while (next < events.length && atOf(events[next], Number.POSITIVE_INFINITY) <= at) next += 1;
    return events.slice(from, next);
  };
  for (const { at, frames } of told) {
    for (;;) {
      const first = atOf(events[next], Number.POSITIVE_INFINITY);
      if (first + BATCH_MS >= at) break;
      yield { at: first + BATCH_MS, frames: upTo(first + BATCH_MS) };
    }
    const mixed = frames.flatMap((frame) => [...upTo(atOf(frame, 0)), frame]);
    yield { at, frames: [...mixed, ...upTo(at)] };
  }
  const at = Math.max(told.at(-1)?.at ?? 0, atOf(events.at(-2), 0));
  yield { at, frames: events.slice(next) };
}
