/**
 * The frames of inspection, version 1: what a hub tells its viewers, what a viewer may ask, and what a recording holds.
 * Text JSON over a WebSocket at `/inspect`, subprotocol `sluice.inspect.v1`. Types and constants only, with no import,
 * so that a page in a browser can share them.
 */

export const inspectProtocol = 'sluice.inspect.v1';
/** Subprotocol that carries a token from a browser, which can set no header: prefix, then base64url of the token. */
export const tokenProtocolPrefix = 'sluice.token.';
/** Kind of the first line of a recording. */
export const recordingHeader = { sluice: 'recording', v: 1 } as const;

/** State of a machine as XState gives it: a name, or regions and their states. */
export type StateValue = string | { readonly [region: string]: StateValue | undefined };

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export type ActorKind = 'machine' | 'promise' | 'callback' | 'observable' | 'transition' | 'other';
export type ActorStatus = 'active' | 'done' | 'error' | 'stopped';

/** One message from a hub, and one line of a recording. */
export interface Batch {
  readonly v: 1;
  /** Number of the batch on this connection, from 0. */
  readonly seq: number;
  /** Wall time, ms since the epoch. */
  readonly at: number;
  /** Frames left out since the connection began, because this viewer was slow. */
  readonly dropped: number;
  readonly frames: readonly Frame[];
}

export type Frame =
  | HelloFrame
  | MachineFrame
  | ActorFrame
  | GoneFrame
  | EventFrame
  | StepFrame
  | StateFrame
  | FactsFrame
  | ErrorFrame
  | EndFrame;

/** The first frame of a connection. */
export interface HelloFrame {
  readonly type: 'hello';
  readonly source: Source;
  readonly protocol: 1;
  /** Wall time of the source, ms since the epoch. */
  readonly now: number;
  readonly may: Permissions;
}

export interface Source {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly host: string;
}

export interface Permissions {
  /** Events may be sent to actors through this connection. */
  readonly send: boolean;
  /** The calls of the admin endpoint that change something are there. */
  readonly act: boolean;
}

/**
 * A chart: once per connection, before the first actor that has it; again, with its picture, when that was not drawn yet.
 */
export interface MachineFrame {
  readonly type: 'machine';
  readonly hash: string;
  readonly id: string;
  readonly definition: ChartDefinition;
  /**
   * The chart as SVG text: `data-state` (dotted path) on states, `data-edge` (index into `definition.edges`) on edges,
   * no colours of its own. Empty while it is not drawn, or when it can't be.
   */
  readonly picture: string;
}

export interface ChartDefinition {
  readonly id: string;
  readonly root: ChartState;
  readonly edges: readonly ChartEdge[];
}

export interface ChartState {
  /** Dotted path from the root; '' for the root itself. */
  readonly path: string;
  readonly key: string;
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** Key of the initial child, where there is one. */
  readonly initial?: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invoke: readonly { readonly id: string; readonly src: string }[];
  readonly states: readonly ChartState[];
}

export interface ChartEdge {
  /** Dotted path of the state that it leaves. */
  readonly source: string;
  /** Dotted path of the state that it enters (the first, where there are several); null for one that stays. */
  readonly target: string | null;
  /** Event type; '' for one taken at once. */
  readonly event: string;
  readonly guard?: string;
  /** The delay that it waits for: ms, or its name. */
  readonly delay?: string;
  readonly actions: readonly string[];
}

/** An actor: the tree on connect, then each new one. */
export interface ActorFrame {
  readonly type: 'actor';
  readonly id: string;
  readonly parent: string | null;
  readonly name: string;
  /** `hash` of its machine; null for logic with no chart. */
  readonly machine: string | null;
  readonly kind: ActorKind;
  readonly status: ActorStatus;
  readonly value: StateValue | null;
  /** Wall time since when the hub knows it, ms. */
  readonly since: number;
}

export interface GoneFrame {
  readonly type: 'gone';
  readonly id: string;
}

/** An event on its way to an actor. */
export interface EventFrame {
  readonly type: 'event';
  readonly at: number;
  readonly to: string;
  readonly from: string | null;
  readonly event: { readonly type: string; readonly [field: string]: Json };
}

/** Edges taken by a machine (indexes into its definition's `edges`), and the state that it is in after them. */
export interface StepFrame {
  readonly type: 'step';
  readonly at: number;
  readonly id: string;
  readonly edges: readonly number[];
  readonly value: StateValue;
}

/** A change that no edge explains, and the answer to a question for an actor's context. */
export interface StateFrame {
  readonly type: 'state';
  readonly at: number;
  readonly id: string;
  readonly status: ActorStatus;
  readonly value: StateValue | null;
  /** Only when asked for: redacted, at most 16 KiB of JSON. */
  readonly context?: Json;
  /** What went wrong, of an actor in `error`. */
  readonly error?: string;
}

/** Once a second. */
export interface FactsFrame {
  readonly type: 'facts';
  readonly at: number;
  /** The answer of `GET /status`; null where there is no broker. */
  readonly status: Json;
  /** The answer of `GET /shutdown`; null where there is no broker. */
  readonly shutdown: Json;
  readonly sessions: SessionFacts | null;
  /** Events seen a second, since the last facts. */
  readonly eventsPerSecond: number;
  /** Actors that are not shown, since there are too many. */
  readonly unlisted?: number;
}

export interface SessionFacts {
  readonly open: number;
  /** How many of them are shown as actors. */
  readonly shown: number;
  /** False while there are too many to show what each receives. */
  readonly events: boolean;
}

/** An answer to a message that couldn't be done. */
export interface ErrorFrame {
  readonly type: 'error';
  readonly message: string;
}

/** The last frame: the source ends. */
export interface EndFrame {
  readonly type: 'end';
  readonly reason: string;
}

/** What a viewer says, one object a message. */
export type ViewerMessage =
  /** Answered with a `state` that has `context`. */
  | { readonly type: 'context'; readonly id: string }
  /** Only events and steps of these actors from now on; null for all. */
  | { readonly type: 'follow'; readonly ids: readonly string[] | null }
  /** Answered with an `error` unless `may.send`. */
  | { readonly type: 'send'; readonly id: string; readonly event: { readonly type: string } };

/** The first line of a recording; every other one is a `Batch`. */
export type RecordingHeader = typeof recordingHeader;
