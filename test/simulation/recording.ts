/**
 * A recording of a run: what its actors did, to be opened later with no broker. JSON lines; `t` is simulated ms, with
 * fractions, and never goes back.
 *
 *   {"frame":"recording","version":1,"name":"17","seed":…}                         first
 *   {"frame":"actor","t":…,"broker":1,"id":"x:0","name":"supervisor","parent":null,"definition":{…}|null}
 *   {"frame":"event","t":…,"broker":1,"id":"x:1","from":"x:0"|null,"event":{"type":"drain",…}}
 *   {"frame":"snapshot","t":…,"broker":1,"id":"x:1","status":"active","value":"draining","tags":[…]}
 *   {"frame":"microstep","t":…,"broker":1,"id":"x:1","value":…,"event":"drain","edges":["(machine).running"]}
 *   {"frame":"history","event":{"t":…,"e":"stored",…}}                              those of `history.ts`, in order, last
 *   {"frame":"end"}
 *
 * `broker` counts the processes of the run from 1; ids are unique within one. `definition` is the chart, as XState gives
 * it out, where the actor is one. A reader passes over frames and fields that it does not know; the version rises when
 * one changes its meaning.
 */
import { writeFileSync } from 'node:fs';
import type { ActorRefLike, AnyActorRef, InspectionEvent, Snapshot } from 'xstate';
import type { HistoryEvent } from './history.ts';

export const RECORDING_VERSION = 1;

export class Recording {
  readonly #file: string;
  readonly #lines: string[] = [];

  constructor(file: string, about: { readonly name: string; readonly seed: number }) {
    this.#file = file;
    this.#add({ frame: 'recording', version: RECORDING_VERSION, ...about });
  }

  /** Takes what XState tells of one actor. */
  readonly inspect = (inspection: InspectionEvent, broker: number, t: number): void => {
    const actor = inspection.actorRef as AnyActorRef;
    const at = { t: Math.round(t * 1000) / 1000, broker, id: actor.sessionId };
    if (inspection.type === '@xstate.actor') {
      this.#add({ frame: 'actor', ...at, name: actor.id, parent: parentOf(actor), definition: definitionOf(actor) });
    } else if (inspection.type === '@xstate.event') {
      const from = (inspection.sourceRef as (ActorRefLike & { sessionId?: string }) | undefined)?.sessionId ?? null;
      this.#add({ frame: 'event', ...at, from, event: plain(inspection.event) });
    } else if (inspection.type === '@xstate.snapshot') {
      this.#add({ frame: 'snapshot', ...at, ...stateOf(inspection.snapshot) });
    } else if (inspection.type === '@xstate.microstep') {
      const edges = inspection._transitions.map(({ source }) => source.id);
      this.#add({ frame: 'microstep', ...at, ...stateOf(inspection.snapshot), event: inspection.event.type, edges });
    }
  };

  /** Adds what the run noted, and writes the file. */
  end(history: readonly HistoryEvent[]): void {
    for (const event of history) this.#add({ frame: 'history', event });
    this.#add({ frame: 'end' });
    writeFileSync(this.#file, `${this.#lines.join('\n')}\n`);
  }

  #add(frame: Readonly<Record<string, unknown>>): void {
    this.#lines.push(JSON.stringify(frame));
  }
}

function parentOf(actor: AnyActorRef): string | null {
  return actor._parent?.sessionId ?? null;
}

function definitionOf(actor: AnyActorRef): unknown {
  const { logic } = actor as unknown as { readonly logic?: { readonly definition?: unknown } };
  return logic?.definition === undefined ? null : plain(logic.definition);
}

function stateOf(snapshot: Snapshot<unknown>): Readonly<Record<string, unknown>> {
  const { status, value = null, tags } = snapshot as Snapshot<unknown> & { value?: unknown; tags?: Set<string> };
  return { status, value, tags: [...(tags ?? [])] };
}

/** What of it JSON can say; actors among it by their id. */
function plain(value: unknown): unknown {
  const seen = new Set<unknown>();
  const text = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'function') return undefined;
    if (part instanceof Error) return { name: part.name, message: part.message };
    if (typeof part !== 'object' || part === null) return part;
    if ('sessionId' in part) return { actor: part.sessionId };
    if (seen.has(part)) return undefined;
    seen.add(part);
    return part;
  });
  return text === undefined ? null : JSON.parse(text);
}
