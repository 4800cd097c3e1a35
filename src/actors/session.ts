/**
 * One client connection: frames in, replies out. Its lifecycle is a pure chart (`machines/session.ts`) stepped here by
 * plain code, since sessions come by the thousand; commands are taken strictly in order, and one that must wait (a
 * topic being made) holds those behind it while the socket is paused. The gateway makes it, sweeps it and closes it.
 */

import { BrokerError, type ErrorCode, errorTable } from '../errors.ts';
import { sameSecret } from '../inspection/request-check.ts';
import type { SessionChart } from '../machines/session.ts';
import type { Connection } from '../ports/connection.ts';
import { parseBinaryCommand, parseTextCommand } from '../protocol/command-parser.ts';
import type { Command, CommandId, HelloCommand, PublishCommand } from '../protocol/commands.ts';
import type { GoAway } from '../protocol/replies.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import { SessionCommands } from './session-commands.ts';
import type { SessionHost } from './session-host.ts';
import { type Frame, SessionInbox } from './session-inbox.ts';
import { limitsOf } from './session-limits.ts';
import { SessionLiveness } from './session-liveness.ts';
import { type FrameKind, idOf, SessionOutbox } from './session-outbox.ts';
import { SessionPublisher } from './session-publisher.ts';

export type LeaveStage = Exclude<GoAway['stage'], 'cancelled'>;

/** Silence after which a client that was told to go is taken to have heard it: longer than most round trips. */
const SILENT_MS = 250;

export class Session {
  readonly id: string;
  readonly connection: Connection;
  readonly outbox: SessionOutbox;
  readonly publisher: SessionPublisher;
  readonly commands: SessionCommands;
  readonly openedAt: number;
  readonly #host: SessionHost;
  readonly #chart: SessionChart;
  client: string | undefined;
  #authenticated: boolean;
  readonly #inbox: SessionInbox;
  /** A command that has to be awaited is under way. */
  #busy = false;
  #paused = false;
  #awaitingRelief = false;
  readonly #liveness: SessionLiveness;
  /** What it was told of the broker's end, last. */
  #told: LeaveStage | null = null;
  /** Its closing has begun. */
  left = false;
  /** It is cut because nothing was heard of it. */
  silent = false;

  readonly #endWaiters: (() => void)[] = [];

  constructor(id: string, connection: Connection, host: SessionHost, chart: SessionChart, balance: number) {
    this.id = id;
    this.connection = connection;
    this.#host = host;
    this.#chart = chart;
    this.openedAt = host.clock.monotonic();
    this.#inbox = new SessionInbox(host.config.frameBytes);
    this.#liveness = new SessionLiveness(host.config, this.openedAt);
    this.#authenticated = host.config.token === '';
    this.outbox = new SessionOutbox(connection, host.clock);
    this.publisher = new SessionPublisher(
      {
        shards: host.shards,
        outbox: this.outbox,
        meter: host.meter,
        inFlightBytesMax: host.config.inFlightBytes,
        inFlightPublishesMax: host.config.inFlightPublishes,
        onAnswered: () => this.#readOnWhenRelieved(),
      },
      balance,
    );
    this.commands = new SessionCommands(this, host);
    connection.events = {
      text: (text) => this.#receive({ kind: 'text', text }),
      binary: (bytes) => this.#receive({ kind: 'binary', bytes }),
      pong: () => this.#heard(),
      drained: () => this.#onDrained(),
      closed: (code, reason) => this.#onClosed(code, reason),
    };
  }

  /** Greets the client. */
  start(): void {
    this.#welcome('text', undefined);
    if (this.#authenticated) this.#chart.send({ type: 'hello.accepted' });
  }

  get state(): string {
    return this.#chart.value;
  }

  get producer(): string | undefined {
    return this.publisher.producer;
  }

  /** Nothing is under way for it: such a client loses nothing when it is closed first. */
  get quiet(): boolean {
    return this.publisher.unanswered === 0 && this.commands.subscriptions === 0;
  }

  /** Publishes and commits that wait for their write. */
  get unanswered(): number {
    return this.publisher.unanswered + this.commands.unanswered;
  }

  /**
   * Nothing that it said is left to answer, as far as can be known: no reply is due, nothing read waits to be taken, and
   * nothing came for a moment in which what it sent before it was told to go would have come.
   */
  settled(now: number): boolean {
    if (this.unanswered > 0 || !this.#inbox.empty || !this.#reading) return false;
    return !this.publisher.active || this.#liveness.silentMs(now) >= SILENT_MS;
  }

  // --- frames in ---

  #receive(frame: Frame): void {
    this.#heard();
    if (!this.#chart.serving) return;
    if (!this.#busy && !this.#paused) {
      this.#process(frame);
      return;
    }
    if (!this.#inbox.push(frame)) this.close('LIMIT_EXCEEDED', 'the socket went on sending while it was paused');
  }

  #process(frame: Frame): void {
    const parsed = frame.kind === 'text' ? parseTextCommand(frame.text) : parseBinaryCommand(frame.bytes);
    if (parsed.fault !== undefined) this.#refuse(frame.kind, parsed.id, parsed.fault);
    else this.#execute(frame.kind, parsed.command);
    if (!this.#outboxFull) return;
    // Whoever asks and does not read is not asked further, and cut in time.
    this.#liveness.full(this.#host.clock.monotonic());
    this.#pause();
  }

  #execute(kind: FrameKind, command: Command): void {
    try {
      const waiting = this.#run(kind, command);
      if (waiting !== undefined) this.#wait(kind, command.id, waiting);
    } catch (error) {
      this.#refuse(kind, command.id, this.#known(error));
    }
  }

  #run(kind: FrameKind, command: Command): Promise<void> | undefined {
    if (!this.#authenticated && command.op !== 'hello') {
      throw new BrokerError('HELLO_REQUIRED', 'a token is required: say hello with it first');
    }
    switch (command.op) {
      case 'hello':
        this.#hello(kind, command);
        return undefined;
      case 'publish':
        return this.#publish(kind, command);
      case 'ping':
        this.outbox.send(kind, { op: 'pong', ...idOf(command.id) });
        return undefined;
      default:
        return this.commands.run(kind, command);
    }
  }

  /** Holds what comes behind until the command is done. */
  #wait(kind: FrameKind, id: CommandId, waiting: Promise<void>): void {
    this.#busy = true;
    this.#updateReading();
    waiting
      .catch((error: unknown) => this.#refuse(kind, id, this.#known(error)))
      .finally(() => {
        this.#busy = false;
        this.#goOn();
      });
  }

  #goOn(): void {
    while (!this.#busy && !this.#paused) {
      const frame = this.#inbox.shift();
      if (frame === undefined) break;
      if (this.#chart.serving) this.#process(frame);
    }
    this.#updateReading();
  }

  #known(error: unknown): BrokerError {
    if (error instanceof BrokerError) return error;
    this.#host.logger.error({ session: this.id, err: error }, 'a command failed unexpectedly');
    return BrokerError.from(error, 'INTERNAL', 'the command failed');
  }

  #refuse(kind: FrameKind, id: CommandId, error: BrokerError): void {
    this.outbox.refuse(kind, id, error);
    if (error.closeCode !== undefined && error.code !== 'INTERNAL') this.close(error.code, error.message);
  }

  // --- hello ---

  #hello(kind: FrameKind, command: HelloCommand): void {
    const { token } = this.#host.config;
    if (token !== '' && !sameSecret(command.token, token)) {
      this.#chart.send({ type: 'hello.refused' });
      throw new BrokerError(
        'UNAUTHENTICATED',
        command.token === undefined ? 'a token is required' : 'the token is wrong',
      );
    }
    this.#authenticated = true;
    this.client = command.client ?? this.client;
    if (command.producer !== undefined) {
      if (this.publisher.unanswered > 0 && command.producer !== this.producer) {
        throw new BrokerError('BAD_REQUEST', '"producer" cannot change while publishes are unanswered');
      }
      this.#host.releaseProducer(this);
      this.publisher.publishAs(command.producer);
      this.#host.claimProducer(command.producer, this);
    }
    this.#chart.send({ type: 'hello.accepted' });
    // Told before it had said hello: the drain holds for it all the same.
    if (this.#told !== null) this.#chart.send({ type: `goaway.${this.#told}` });
    this.#welcome(kind, command.id);
  }

  #welcome(kind: FrameKind, id: CommandId): void {
    const { config, brokerName, draining } = this.#host;
    const told = { ...idOf(id), session: this.id, protocol: 1, broker: brokerName } as const;
    const authenticate = this.#authenticated ? {} : { authenticate: true };
    this.outbox.send(kind, { op: 'welcome', ...told, limits: limitsOf(config), draining, ...authenticate });
  }

  // --- publish, and what holds it back ---

  #publish(kind: FrameKind, command: PublishCommand): Promise<void> | undefined {
    this.publisher.active = true;
    const topic = this.#host.catalogue.ensure(command.topic);
    if (topic instanceof Promise) {
      return topic.then((made) => this.#holdBack(this.publisher.publish(kind, command, made)));
    }
    this.#holdBack(this.publisher.publish(kind, command, topic));
    return undefined;
  }

  /** Pauses the socket when this connection, all of them, or the shard has enough to write. */
  #holdBack(engine: ShardEngine | null): void {
    const { meter } = this.#host;
    if (engine?.pressed) this.#pauseUntil((callback) => engine.onRelieved(callback));
    else if (meter.pressed) this.#pauseUntil((callback) => meter.onRelieved(callback));
    else if (this.publisher.pressed) this.#pause();
  }

  get #outboxFull(): boolean {
    return this.connection.bufferedBytes > this.#host.config.socketBufferBytes;
  }

  #pauseUntil(onRelieved: (callback: () => void) => void): void {
    this.#pause();
    if (this.#awaitingRelief) return;
    this.#awaitingRelief = true;
    onRelieved(() => {
      this.#awaitingRelief = false;
      this.#readOnWhenRelieved();
    });
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#updateReading();
  }

  #readOnWhenRelieved(): void {
    if (!this.#paused || this.#awaitingRelief || !this.publisher.relieved || this.#outboxFull) return;
    this.#paused = false;
    if (!this.#busy) this.#goOn();
  }

  #reading = true;
  #updateReading(): void {
    const reading = !this.#paused && !this.#busy;
    if (reading === this.#reading) return;
    this.#reading = reading;
    // Behind a pause its silence says nothing of what waits in the socket.
    if (reading) this.#heard();
    this.connection[reading ? 'resume' : 'pause']();
  }

  // --- deliveries ---

  get delivering(): boolean {
    return this.#chart.delivering;
  }

  /** Bytes that the socket may take before deliveries wait. */
  roomBytes(): number {
    if (!this.delivering) return 0;
    const room = this.#host.config.socketBufferBytes - this.connection.bufferedBytes;
    if (room <= 0) this.#liveness.full(this.#host.clock.monotonic());
    return room;
  }

  #onDrained(): void {
    this.#liveness.drained(this.#host.clock.monotonic(), this.#outboxFull);
    this.#readOnWhenRelieved();
    this.commands.pump();
  }

  // --- watched by the gateway's sweep ---

  /** Pings, and ends what is dead, silent before hello, or too slow. Called about once a second. */
  sweep(now: number): void {
    if (!this.#chart.serving) return;
    const { config } = this.#host;
    if (this.#chart.value === 'handshaking' && now - this.openedAt > config.helloTimeoutMs) {
      this.#refuse('text', undefined, new BrokerError('HELLO_REQUIRED', `no hello within ${config.helloTimeoutMs} ms`));
      return;
    }
    const verdict = this.#liveness.judge(now, this.#reading);
    if (verdict === 'ping') this.connection.ping();
    else if (verdict === 'dead') this.#cut('PING_TIMEOUT', 'no pong, nor anything else, in time');
    else if (verdict === 'slow') {
      this.#cut('SLOW_CONSUMER', `${this.connection.bufferedBytes} bytes unread for ${config.slowConsumerMs} ms`);
    }
  }

  /** Its silence is noticed in time: others wait for what it has. */
  watchClosely(): void {
    this.#liveness.watchClosely(this.#host.config.groupSilenceMs);
  }

  #heard(): void {
    this.#liveness.heard(this.#host.clock.monotonic());
  }

  // --- the end ---

  /** Tells the client to go; publishes are refused by the shards, deliveries stop with the drain. */
  goAway(notice: Omit<GoAway, 'op' | 'lastAccepted' | 'stage'> & { readonly stage: LeaveStage }): void {
    if (this.#chart.value === 'closed') return;
    const { lastAccepted } = this.publisher;
    this.#told = notice.stage;
    this.#chart.send({ type: `goaway.${notice.stage}` });
    if (notice.stage === 'drain') this.commands.noteDelivered();
    this.outbox.flush();
    this.outbox.send('text', { op: 'goaway', ...notice, ...(lastAccepted.length === 0 ? {} : { lastAccepted }) });
  }

  /** It was told to go, in this stage. */
  told(stage: LeaveStage): boolean {
    return this.#told === stage;
  }

  /** The drain was cancelled: it is told, when it had been told of one, and deliveries go on. */
  stay(): void {
    if (this.#told === null || this.#chart.value === 'closed') return;
    this.#told = null;
    this.#chart.send({ type: 'goaway.cancelled' });
    this.outbox.flush();
    this.outbox.send('text', { op: 'goaway', stage: 'cancelled', reason: '', deadlineMs: 0, reconnectAfterMs: 0 });
    this.commands.pump();
  }

  /** Closes behind everything that was said; false when it is leaving already. */
  leave(closeCode: number, reason: string): boolean {
    if (this.left || this.#chart.value === 'closed') return false;
    this.left = true;
    this.#chart.send({ type: 'close' });
    this.outbox.flush();
    this.commands.endAll();
    this.connection.close(closeCode, reason);
    return true;
  }

  close(code: ErrorCode, reason: string): void {
    this.leave(errorTable[code].closeCode ?? 1008, `${code}: ${reason}`);
  }

  /** Closes a connection that does not read or answer; the adapter cuts it when the close is not answered. */
  #cut(code: ErrorCode, reason: string): void {
    this.silent = code === 'PING_TIMEOUT';
    this.#host.logger.info({ session: this.id, client: this.client, code, reason }, 'connection cut');
    this.close(code, reason);
  }

  /** Calls back once the connection is gone. */
  onEnd(callback: () => void): void {
    this.#endWaiters.push(callback);
  }

  #onClosed(code: number, reason: string): void {
    for (const callback of this.#endWaiters.splice(0)) callback();
    this.#chart.send({ type: 'socket.closed', code, reason });
    this.commands.endAll();
    this.#inbox.clear();
    this.#host.closed(this);
  }
}
