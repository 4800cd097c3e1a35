/**
 * Actors of the embedding application that the broker looks after: made by `broker.supervise`. They live in the
 * supervisor's actor system, each below a chart of its own (`machines/supervised.ts`), and are guests of the shutdown.
 */
import type { Actor, ActorRefFrom, AnyActorLogic, AnyActorRef, InputFrom, SnapshotFrom } from 'xstate';
import { BrokerError, messageOf } from '../errors.ts';
import { ended } from '../machines/children.ts';
import { type RestartPolicy, supervisedMachine } from '../machines/supervised.ts';
import type { supervisorMachine } from '../machines/supervisor.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Random } from '../ports/random.ts';

/** Why the broker gave an actor up. */
export interface GivenUp {
  readonly id: string;
  /** What it failed with last. */
  readonly error: unknown;
  /** How often it had been begun again. */
  readonly restarts: number;
}

export interface SuperviseOptions<Logic extends AnyActorLogic = AnyActorLogic> {
  /** Restarts within `withinMs`, at most; 0 for none. Default 5. */
  readonly restarts?: number;
  /** Default 60,000. */
  readonly withinMs?: number;
  /**
   * Before a restart: a window of `minMs`, doubling with each failure that counts, at most `maxMs`; of it a random
   * part, half of it at least. Default 100 and 10,000.
   */
  readonly backoff?: { readonly minMs?: number; readonly maxMs?: number };
  /** Called once, when it has failed once too often. What it throws is logged. */
  readonly onGiveUp?: (given: GivenUp) => void;
  /** What the actor is given, each time it begins. */
  readonly input?: InputFrom<Logic>;
}

/** `waiting`: the broker has not started · `running` · `pausing`: before a restart · `leaving`: told to · the ends. */
export type SupervisedState = 'waiting' | 'running' | 'pausing' | 'leaving' | 'done' | 'left' | 'givenUp' | 'abandoned';

type Supervisor = Actor<typeof supervisorMachine>;
type SupervisedRef = ActorRefFrom<typeof supervisedMachine>;

export interface SupervisionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** An actor that the broker looks after. */
export class Supervised<Logic extends AnyActorLogic = AnyActorLogic> {
  readonly id: string;
  readonly #parts: SupervisionParts;
  #ref: SupervisedRef | null = null;
  #end: () => void = () => {};
  /** Resolves when it has ended for good, whichever way: `state` says. */
  readonly ended: Promise<void>;

  constructor(id: string, parts: SupervisionParts) {
    this.id = id;
    this.#parts = parts;
    this.ended = new Promise((end) => {
      this.#end = end;
    });
  }

  get state(): SupervisedState {
    if (this.#ref === null) return 'waiting';
    const { value } = this.#ref.getSnapshot();
    return typeof value === 'object' ? value.alive : value;
  }

  /** How often it was begun again. */
  get restarts(): number {
    return this.#ref?.getSnapshot().context.restarts ?? 0;
  }

  /** The actor as it runs now; null while none does. A restart makes another. */
  get actor(): ActorRefFrom<Logic> | null {
    return this.#actor as ActorRefFrom<Logic> | null;
  }

  get #actor(): AnyActorRef | null {
    const snapshot = this.#ref?.getSnapshot();
    if (snapshot === undefined || !snapshot.hasTag('alive')) return null;
    return (snapshot.children.actor as AnyActorRef | undefined) ?? null;
  }

  /** What the actor is at; null while none runs. */
  getSnapshot(): SnapshotFrom<Logic> | null {
    return (this.#actor?.getSnapshot() ?? null) as SnapshotFrom<Logic> | null;
  }

  /** Sends to the actor; false when none runs, and nothing was sent. */
  send(event: Parameters<ActorRefFrom<Logic>['send']>[0]): boolean {
    const actor = this.#actor;
    actor?.send(event);
    return actor !== null;
  }

  /** Tells it alone to leave, as the shutdown would; resolves when it has ended, at the latest `withinMs` from now. */
  async stop({ reason = 'stop', withinMs = 5000 } = {}): Promise<void> {
    if (this.#ref === null) throw new BrokerError('BAD_REQUEST', `${this.id} has not begun: the broker is not started`);
    const deadline = this.#parts.clock.monotonic() + withinMs;
    if (this.#ref.getSnapshot().status === 'active') {
      this.#ref.send({ type: 'shutdown', reason, mode: 'graceful', deadline });
    }
    await this.ended;
  }

  /** The broker has ended, and it never began. */
  notBegun(): void {
    this.#end();
  }

  /** It has begun. */
  begun(ref: SupervisedRef): void {
    this.#ref = ref;
    ref.subscribe({ complete: () => this.#end(), error: () => this.#end() });
    if (ref.getSnapshot().status !== 'active') this.#end();
  }
}

interface Wanted {
  readonly supervised: Supervised;
  readonly logic: typeof supervisedMachine;
  readonly policy: RestartPolicy;
  readonly input: unknown;
}

export class Supervision {
  readonly #parts: SupervisionParts;
  #supervisor: Supervisor | null = null;
  /** Asked for before the start. */
  readonly #wanted = new Map<string, Wanted>();

  constructor(parts: SupervisionParts) {
    this.#parts = parts;
  }

  /** Throws BAD_REQUEST for a wrong option or a name that is taken, DRAINING once the broker stops. */
  supervise<Logic extends AnyActorLogic>(
    id: string,
    logic: Logic,
    options: SuperviseOptions<Logic>,
  ): Supervised<Logic> {
    const policy = policyOf(options);
    const context = this.#supervisor?.getSnapshot().context;
    if (context?.stopping === true) throw new BrokerError('DRAINING', `${id} can't begin: the broker is shutting down`);
    const before = context?.children[id];
    if (!isFree(id) || this.#wanted.has(id) || (before !== undefined && !ended.includes(before.state))) {
      throw new BrokerError('BAD_REQUEST', `an actor to supervise needs an id of its own; got ${JSON.stringify(id)}`);
    }
    const supervised = new Supervised<Logic>(id, this.#parts);
    const wanted = {
      supervised: supervised as unknown as Supervised,
      logic: this.#provided(id, logic, options.onGiveUp),
      policy,
      input: options.input,
    };
    if (this.#supervisor === null) this.#wanted.set(id, wanted);
    else this.#begin(this.#supervisor, wanted);
    return supervised;
  }

  /** The broker's supervisor runs: what was asked for before begins. */
  start(supervisor: Supervisor): void {
    this.#supervisor = supervisor;
    for (const wanted of this.#wanted.values()) this.#begin(supervisor, wanted);
    this.#wanted.clear();
  }

  /** The broker has ended without a start: nothing begins any more. */
  end(): void {
    for (const { supervised } of this.#wanted.values()) supervised.notBegun();
    this.#wanted.clear();
  }

  #begin(supervisor: Supervisor, { supervised, logic, policy, input }: Wanted): void {
    const { clock, random } = this.#parts;
    supervisor.send({
      type: 'guest.joined',
      id: supervised.id,
      logic,
      input: {
        id: supervised.id,
        parent: supervisor,
        policy,
        input,
        now: () => clock.monotonic(),
        random: () => random.next(),
      },
    });
    const ref = supervisor.getSnapshot().context.guests.find(({ id }) => id === supervised.id)?.ref;
    if (ref === undefined)
      throw new BrokerError('DRAINING', `${supervised.id} can't begin: the broker is shutting down`);
    supervised.begun(ref as SupervisedRef);
  }

  #provided(id: string, logic: AnyActorLogic, onGiveUp: SuperviseOptions['onGiveUp']): typeof supervisedMachine {
    const { logger } = this.#parts;
    return supervisedMachine.provide({
      actors: { actor: logic as never },
      actions: {
        failed: ({ context }, { error }) => {
          const { restarts, pauseMs } = context;
          logger.warn({ child: id, err: error, restarts, pauseMs }, `${id} failed, and is begun again`);
        },
        gaveUp: ({ context }, { error }) => {
          const { restarts } = context;
          logger.error({ child: id, err: error, restarts }, `${id} was given up: ${messageOf(error)}`);
          try {
            onGiveUp?.({ id, error, restarts });
          } catch (thrown) {
            logger.error({ child: id, err: thrown }, `onGiveUp of ${id} threw`);
          }
        },
      },
    });
  }
}

/** The broker's own children have these. */
function isFree(id: string): boolean {
  return id !== '' && !/^(supervisor|admin|gateway|shard-\d+)$/.test(id);
}

function policyOf({ restarts = 5, withinMs = 60_000, backoff = {} }: SuperviseOptions): RestartPolicy {
  const { minMs = 100, maxMs = 10_000 } = backoff;
  if (!Number.isSafeInteger(restarts) || restarts < 0 || restarts > RESTARTS_MAX) {
    throw new BrokerError('BAD_REQUEST', `restarts: got ${restarts}; expected an integer from 0 to ${RESTARTS_MAX}`);
  }
  for (const [name, ms] of Object.entries({ withinMs, 'backoff.minMs': minMs, 'backoff.maxMs': maxMs })) {
    if (!(ms >= 1 && ms <= TIMER_MAX_MS)) {
      throw new BrokerError('BAD_REQUEST', `${name}: got ${ms}; expected ms from 1 to ${TIMER_MAX_MS}`);
    }
  }
  if (minMs > maxMs)
    throw new BrokerError('BAD_REQUEST', `backoff.minMs: got ${minMs}; expected at most maxMs, ${maxMs}`);
  return { restarts, withinMs, backoff: { minMs, maxMs } };
}

/** The times of so many failures are kept. */
const RESTARTS_MAX = 1000;
const TIMER_MAX_MS = 2 ** 31 - 1;
