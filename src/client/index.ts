/**
 * `sluice/client`: the client for browsers and Node, without dependencies. `docs/client.md` is its guide.
 */
import type { BackoffOptions } from './backoff.ts';
import { Client, type ClientEvents, type ClientSettings } from './client.ts';
import type { ClientClock } from './clock.ts';
import type { LivenessOptions } from './liveness.ts';
import type { OutboxBounds } from './outbox.ts';
import { aborted } from './requests.ts';
import { type Transport, type WebSocketConstructor, webSocketTransport } from './transport.ts';

export interface ConnectOptions extends ClientSettings {
  /** The token, or what is asked for one before every connection. */
  readonly token?: string | (() => string | PromiseLike<string>) | undefined;
  /**
   * A lasting id of this producer, 1–128 printable ASCII characters. Its sequences go on where the broker has them,
   * and only the newest connection of that id may publish. Default: a random one.
   */
  readonly producer?: string | undefined;
  /** Name and version of the application, for the people who run the broker. */
  readonly name?: string | undefined;
  readonly outbox?: OutboxBounds | undefined;
  /** The constructor to use where the platform has none, as on Node 20: that of the `ws` package. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Gives up connecting. Without effect once connected. */
  readonly signal?: AbortSignal | undefined;
  /** Windows of the reconnect back-off: 250 ms, doubling up to 15,000 ms. */
  readonly backoff?: Partial<BackoffOptions> | undefined;
  /**
   * How long a connection may be silent: after `quietMs` (20,000) to twice that without a frame the client asks the
   * broker for a sign of life, and makes a new connection when none comes within `answerMs` (20,000; three times as long
   * while something waits for an answer, since a broker that holds publishers back answers nothing).
   */
  readonly liveness?: Partial<LivenessOptions> | undefined;
  /** Listeners that are to hear of the first attempts, too. */
  readonly on?: { readonly [Name in keyof ClientEvents]?: (value: ClientEvents[Name]) => void } | undefined;
  /** For tests: time and chance. */
  readonly clock?: ClientClock | undefined;
  readonly random?: (() => number) | undefined;
}

/**
 * Connects to a broker, over a WebSocket to `ws://host:7070/v1` or over a transport given instead; resolves when the
 * broker first welcomes the client. Tries for as long as it takes, unless `signal` fires (ABORTED or TIMEOUT, with the
 * last failure as cause) or the broker refuses for good (UNAUTHENTICATED, …). Throws NO_WEBSOCKET and BAD_REQUEST.
 */
export async function connect(target: string | URL | Transport, options: ConnectOptions = {}): Promise<Client> {
  const { signal } = options;
  if (signal?.aborted) throw aborted(signal);
  const transport =
    typeof target === 'object' && 'open' in target ? target : webSocketTransport(target, options.WebSocket);
  const client = new Client(transport, options);
  for (const [name, listener] of Object.entries(options.on ?? {})) {
    client.on(name as keyof ClientEvents, listener as (value: unknown) => void);
  }
  await client.start(signal);
  return client;
}

export type { BackoffOptions } from './backoff.ts';
export { Client, type ClientEvents, type CommandOptions, type DescribeOptions, type TopicOptions } from './client.ts';
export type { ClientClock } from './clock.ts';
export { type ClientErrorCode, SluiceError } from './error.ts';
export type { ClientState } from './link.ts';
export type { LivenessOptions } from './liveness.ts';
export type { OutboxBounds, PublishOptions } from './outbox.ts';
export type { Ack, PublishRecord } from './outgoing.ts';
export { SluiceRecord } from './record.ts';
export type { SchemaInput, SchemaIssue, SchemaOutput, StandardSchemaV1 } from './schema.ts';
export { Subscription } from './subscription.ts';
export type { From, GapEvent, Position, SubscribeOptions, TypedSubscribeOptions } from './subscription-options.ts';
export type { Transport, TransportConnection, TransportEvents, WebSocketConstructor } from './transport.ts';
export { type TypedPublishRecord, TypedTopic } from './typed-topic.ts';
