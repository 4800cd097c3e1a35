/**
 * A source of inspection frames that runs no broker: the charts are those of the broker, what happens to them is a
 * script. Four shards, a gateway, sessions; a load; a shutdown in which one shard may hang. Its clock is its own, so that
 * any moment of the script is made without waiting.
 */
import type { AnyStateMachine } from 'xstate';
import type { Batch, Frame, Json, MachineFrame, StateValue } from '../../src/inspection/frames.ts';
import { adminMachine } from '../../src/machines/admin.ts';
import { gatewayMachine } from '../../src/machines/gateway.ts';
import { sessionMachine } from '../../src/machines/session.ts';
import { shardMachine } from '../../src/machines/shard.ts';
import { supervisorMachine } from '../../src/machines/supervisor.ts';
import { machineFrame } from './simulated-charts.ts';

export interface SimulationOptions {
  readonly shards?: number;
  readonly sessions?: number;
  readonly pid?: number;
  /** Wall time at which it begins, ms. */
  readonly startedAt?: number;
  /** Of the shard that hangs in its write. */
  readonly stuck?: string | null;
  readonly lastShutdown?: Json;
  readonly clientPort?: number;
}

type MachineName = 'supervisor' | 'admin' | 'gateway' | 'shard' | 'session';

const machines: Readonly<Record<MachineName, AnyStateMachine>> = {
  supervisor: supervisorMachine,
  admin: adminMachine,
  gateway: gatewayMachine,
  shard: shardMachine,
  session: sessionMachine,
};

let drawn: Promise<ReadonlyMap<MachineName, MachineFrame>> | undefined;

/** Drawn once: it takes a second. */
export function simulatedMachines(): Promise<ReadonlyMap<MachineName, MachineFrame>> {
  drawn ??= Promise.all(
    Object.entries(machines).map(
      async ([name, machine]) => [name as MachineName, await machineFrame(machine)] as const,
    ),
  ).then((entries) => new Map(entries));
  return drawn;
}

interface Actor {
  readonly id: string;
  readonly parent: string | null;
  readonly name: string;
  readonly machine: MachineName | null;
  value: StateValue | null;
}

interface Shard {
  readonly id: string;
  state: string;
  operation: string;
  operationSince: number;
  records: number;
  groups: number;
  logBytes: number;
  pendingRecords: number;
  pendingBytes: number;
  flushedRecords: number;
  flushedBytes: number;
  detail: string | null;
  writeSince: number | null;
}

export interface Phase {
  readonly phase: string;
  readonly startedAt: number;
  durationMs: number;
  readonly budgetMs: number | null;
}

const BATCH_MS = 50;
const BUDGETS: Readonly<Record<string, number | null>> = {
  announcing: 2000,
  draining: 6000,
  flushing: 12_000,
  releasing: 1500,
};
const BUDGET_MS = 20_000;

export class SimulatedSource {
  readonly options: Required<SimulationOptions>;
  now: number;
  /** Events a second between actors; sessions tell the gateway. */
  eventsPerSecond = 60;
  /** Records a second over all shards. */
  recordsPerSecond = 48_000;
  phase = 'running';
  stopping = false;
  readonly shards: Shard[];
  readonly #frames: ReadonlyMap<MachineName, MachineFrame>;
  readonly #actors = new Map<string, Actor>();
  readonly #phases: Phase[] = [];
  #queue: Frame[] = [];
  #random = 42;
  #seq = 0;
  #phaseSince: number;
  #stopAt: number | null = null;
  #factsAt = 0;
  #events = 0;
  #script: { readonly at: number; readonly what: () => void }[] = [];
  #ended = false;

  constructor(frames: ReadonlyMap<MachineName, MachineFrame>, options: SimulationOptions = {}) {
    this.#frames = frames;
    this.options = {
      shards: 4,
      sessions: 24,
      pid: 4711,
      startedAt: Date.now() - 3_600_000,
      stuck: null,
      lastShutdown: null,
      clientPort: 7070,
      ...options,
    };
    this.now = Date.now();
    this.#phaseSince = this.options.startedAt + 800;
    this.#add('x:0', null, 'supervisor', 'supervisor', 'running');
    this.#add('admin', 'x:0', 'admin', 'admin', 'serving');
    this.shards = Array.from({ length: this.options.shards }, (_, index) => {
      const id = `shard-${String(index).padStart(2, '0')}`;
      this.#add(id, 'x:0', id, 'shard', 'running');
      return {
        id,
        state: 'ready',
        operation: 'serve',
        operationSince: this.options.startedAt,
        records: 1_000_000 * (index + 3),
        groups: 40_000 * (index + 3),
        logBytes: 190_000_000 * (index + 3),
        pendingRecords: 0,
        pendingBytes: 0,
        flushedRecords: 0,
        flushedBytes: 0,
        detail: null,
        writeSince: null,
      };
    });
    this.#add('gateway', 'x:0', 'gateway', 'gateway', 'accepting');
    for (let index = 0; index < this.options.sessions; index += 1) {
      this.#add(
        `session:${index}`,
        'gateway',
        `session ${(index * 2_654_435 + 77_777).toString(16).padStart(6, '0').slice(-6)}`,
        'session',
        'ready',
      );
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What a viewer is told first. */
  greeting(): Batch {
    const { pid, startedAt } = this.options;
    const source = { name: 'sluice', version: '0.1.0', pid, startedAt, host: 'broker-1' };
    const hello: Frame = { type: 'hello', source, protocol: 1, now: this.now, may: { send: false, act: true } };
    const actors = [...this.#actors.values()].map((actor) => this.#actorFrame(actor));
    return this.#batch([hello, ...this.#frames.values(), ...actors, this.#facts()]);
  }

  /** An actor's context, as an answer to a viewer. */
  context(id: string): Batch {
    const actor = this.#actors.get(id);
    if (actor === undefined) return this.notice(`there is no actor ${id}`);
    const context = {
      id,
      token: '[redacted]',
      name: '<b>bold</b>',
      told: null,
      deadline: 91_220,
      shard: { records: 12, epoch: 3 },
    };
    return this.#batch([{ type: 'state', at: this.now, id, status: 'active', value: actor.value, context }]);
  }

  notice(message: string): Batch {
    return this.#batch([{ type: 'error', message }]);
  }

  /** Goes 50 ms on, and tells what happened. */
  step(): Batch {
    this.now += BATCH_MS;
    for (const entry of this.#script.filter(({ at }) => at <= this.now)) entry.what();
    this.#script = this.#script.filter(({ at }) => at > this.now);
    this.#load();
    this.#flush();
    if (this.now - this.#factsAt >= (this.#stopAt === null ? 1000 : 250) || this.#ended) {
      this.#factsAt = this.now;
      this.#queue.push(this.#facts());
    }
    if (this.#ended) this.#queue.push({ type: 'end', reason: 'the broker has stopped' });
    const frames = this.#queue;
    this.#queue = [];
    return this.#batch(frames);
  }

  /** Adds an actor by any name, as a stranger might. */
  addActor(id: string, name: string, machine: MachineName | null = null): void {
    this.#queue.push(this.#actorFrame(this.#add(id, 'x:0', name, machine, machine === null ? null : 'running')));
  }

  drain(): void {
    this.#phase('draining');
    this.#tell('x:0', null, 'drain', { draining: 'settling' });
    for (const shard of this.shards)
      this.#shard(shard, 'drained', 'wait for the flush', 'shard.drain', { draining: 'settled' });
    this.#tell('gateway', 'x:0', 'shutdown.drain', { draining: 'settled' });
  }

  cancelDrain(): void {
    this.#phase('running');
    this.#tell('x:0', null, 'drain.cancel', 'running');
    for (const shard of this.shards) this.#shard(shard, 'ready', 'serve', 'shard.resume', 'running');
    this.#tell('gateway', 'x:0', 'shutdown.cancelled', 'accepting');
  }

  /** A graceful shutdown, in some ten seconds; to the deadline when a shard hangs. */
  stop(): void {
    if (this.#stopAt !== null) return;
    this.stopping = true;
    this.#stopAt = this.now;
    const at = (ms: number, what: () => void): void => {
      this.#script.push({ at: this.now + ms, what });
    };
    // Between the ends of one shard and the next, ms.
    const apart = Math.min(620, 2480 / this.shards.length);
    this.#phase('announcing');
    this.#tell('x:0', null, 'shutdown', 'announcing');
    this.#tell('gateway', 'x:0', 'shutdown.announced', 'announcing');
    for (const session of this.#sessions(40)) this.#tell(session.id, 'gateway', 'goaway.announce', 'warned');
    at(2000, () => {
      this.#phase('draining');
      this.#tell('x:0', 'x:0', 'xstate.after.toAnnounce', { draining: 'settling' });
      this.recordsPerSecond = 0;
      for (const [index, shard] of this.shards.entries()) {
        shard.pendingRecords = 90_000 + 34_000 * index;
        shard.pendingBytes = shard.pendingRecords * 410;
        this.#shard(shard, 'ready', 'drain', 'shard.drain', { draining: 'settling' });
      }
      this.#tell('gateway', 'x:0', 'shutdown.drain', { draining: 'settling' });
    });
    for (const [index, shard] of this.shards.entries()) {
      at(3100 + index * Math.min(210, 900 / this.shards.length), () => {
        this.#shard(shard, 'drained', 'wait for the flush', 'xstate.done.actor.settle', { draining: 'settled' });
        this.#tell('x:0', shard.id, 'child.drained', { draining: 'settling' });
      });
    }
    at(4100, () => {
      this.#phase('flushing');
      this.#tell('x:0', 'gateway', 'child.drained', 'flushing');
      this.#tell('gateway', 'x:0', 'shutdown.close', 'closing');
      for (const shard of this.shards) {
        shard.writeSince = this.now;
        this.#shard(shard, 'drained', 'write', 'shard.flush', { flushing: 'writing' });
      }
    });
    for (const [index, shard] of this.shards.entries()) {
      if (shard.id === this.options.stuck) continue;
      const from = 5600 + index * apart;
      at(from, () => {
        shard.writeSince = null;
        this.#shard(shard, 'drained', 'checkpoint', 'xstate.done.actor.write', { flushing: 'checkpointing' });
      });
      at(from + 700, () =>
        this.#shard(shard, 'drained', 'mark clean', 'xstate.done.actor.checkpoint', { flushing: 'marking' }),
      );
      at(from + 1000, () =>
        this.#shard(shard, 'drained', 'release', 'xstate.done.actor.mark', { flushing: 'releasing' }),
      );
      at(from + 1300, () => {
        this.#shard(shard, 'released', 'release', 'xstate.done.actor.release', 'released');
        this.#tell('x:0', shard.id, 'child.released', 'flushing');
      });
    }
    const flushed = this.options.stuck === null ? 5600 + (this.shards.length - 1) * apart + 1350 : 16_000;
    const stuck = this.shards.find(({ id }) => id === this.options.stuck);
    if (stuck !== undefined) {
      at(flushed - 250, () => {
        const age = this.now - stuck.operationSince;
        stuck.detail = `write, for ${age} ms`;
        this.#shard(stuck, 'abandoned', 'write', 'shard.late', 'abandoned');
        this.#tell('x:0', stuck.id, 'child.abandoned', 'flushing');
      });
    }
    at(flushed, () => {
      this.#phase('releasing');
      this.#tell('x:0', 'x:0', 'xstate.after.toFlush', { releasing: 'gateway' });
      for (const session of this.#sessions(this.options.sessions)) {
        this.#queue.push({ type: 'gone', id: session.id });
        this.#actors.delete(session.id);
      }
      this.#tell('gateway', 'gateway', 'xstate.done.actor.close', 'closed');
    });
    at(flushed + 450, () => this.#tell('x:0', 'gateway', 'child.released', { releasing: 'admin' }));
    at(flushed + 700, () => {
      this.#tell('x:0', 'admin', 'child.released', 'stopped');
      this.#ended = true;
    });
  }

  #add(id: string, parent: string | null, name: string, machine: MachineName | null, value: StateValue | null): Actor {
    const actor = { id, parent, name, machine, value };
    this.#actors.set(id, actor);
    return actor;
  }

  #actorFrame({ id, parent, name, machine, value }: Actor): Frame {
    const hash = machine === null ? null : (this.#frames.get(machine)?.hash ?? null);
    const kind = machine === null ? 'promise' : 'machine';
    return {
      type: 'actor',
      id,
      parent,
      name,
      machine: hash,
      kind,
      status: 'active',
      value,
      since: this.options.startedAt,
    };
  }

  #sessions(limit: number): Actor[] {
    return [...this.#actors.values()].filter(({ machine }) => machine === 'session').slice(0, limit);
  }

  #tell(to: string, from: string | null, type: string, value: StateValue): void {
    const actor = this.#actors.get(to);
    if (actor === undefined) return;
    this.#events += 1;
    this.#queue.push({
      type: 'event',
      at: this.now,
      to,
      from,
      event: { type, ...(type === 'shutdown' ? { reason: 'SIGTERM' } : {}) },
    });
    if (JSON.stringify(actor.value) === JSON.stringify(value)) return;
    const edges = this.#edgesTo(actor, value);
    actor.value = value;
    this.#queue.push({ type: 'step', at: this.now, id: to, edges, value });
  }

  /** Edges between the state that it is in and the one that it goes to, outermost or innermost. */
  #edgesTo({ machine, value: before }: Actor, value: StateValue): number[] {
    const edges = this.#frames.get(machine ?? 'shard')?.definition.edges ?? [];
    const [from, to] = [pathsOf(before), pathsOf(value)];
    const found = edges.findIndex(
      ({ source, target }) => target !== null && from.includes(source) && to.includes(target) && source !== target,
    );
    if (found >= 0) return [found];
    const any = edges.findIndex(({ target }) => target !== null && to.includes(target) && !from.includes(target));
    return any < 0 ? [] : [any];
  }

  #shard(shard: Shard, state: string, operation: string, event: string, value: StateValue): void {
    shard.state = state;
    if (operation !== shard.operation) shard.operationSince = this.now;
    shard.operation = operation;
    this.#tell(shard.id, event.startsWith('xstate.') ? shard.id : 'x:0', event, value);
  }

  #phase(phase: string): void {
    if (this.phase !== 'running') {
      const durationMs = this.now - this.#phaseSince;
      this.#phases.push({
        phase: this.phase,
        startedAt: this.#phaseSince,
        durationMs,
        budgetMs: this.stopping ? (BUDGETS[this.phase] ?? null) : null,
      });
    }
    this.phase = phase;
    this.#phaseSince = this.now;
  }

  #load(): void {
    const wave = 1 + 0.25 * Math.sin(this.now / 9000) + 0.12 * Math.sin(this.now / 1700);
    const records = (this.recordsPerSecond * wave * BATCH_MS) / 1000;
    for (const [index, shard] of this.shards.entries()) {
      if (shard.state !== 'ready') continue;
      const mine = Math.round((records / this.shards.length) * (0.7 + 0.2 * index));
      shard.records += mine;
      shard.groups += Math.min(Math.ceil(mine / 40), 12);
      shard.logBytes += mine * 410;
    }
    const wanted = (this.eventsPerSecond * BATCH_MS) / 1000;
    const sessions = this.#sessions(2000);
    for (let count = 0; count < wanted; count += 1) {
      this.#events += 1;
      const session = sessions[this.#integer(Math.max(sessions.length, 1))];
      const shard = this.shards[this.#integer(this.shards.length)];
      if (session === undefined || shard === undefined) continue;
      this.#queue.push(
        this.#integer(3) === 0
          ? {
              type: 'event',
              at: this.now,
              to: 'gateway',
              from: session.id,
              event: { type: 'session.opened', client: 'billing/1.4' },
            }
          : {
              type: 'event',
              at: this.now,
              to: shard.id,
              from: 'gateway',
              event: { type: 'group.settled', records: this.#integer(400), ok: true },
            },
      );
    }
  }

  #flush(): void {
    if (this.#stopAt === null) return;
    for (const shard of this.shards) {
      if (shard.operation !== 'write' || shard.id === this.options.stuck) continue;
      const bytes = Math.min(shard.pendingBytes, 2_600_000);
      shard.pendingBytes -= bytes;
      shard.pendingRecords = Math.round(shard.pendingBytes / 410);
      shard.flushedBytes += bytes;
      shard.flushedRecords = Math.round(shard.flushedBytes / 410);
    }
    for (const shard of this.shards) {
      if (shard.operation === 'write' || shard.operation === 'drain' || shard.operation === 'wait for the flush')
        continue;
      shard.flushedBytes += shard.pendingBytes;
      shard.flushedRecords += shard.pendingRecords;
      shard.pendingBytes = 0;
      shard.pendingRecords = 0;
    }
  }

  #facts(): Frame {
    const sessions = this.#sessions(10_000).length;
    const pendingBytes = this.shards.reduce((sum, shard) => sum + shard.pendingBytes, 0);
    const eventsPerSecond = this.#events;
    this.#events = 0;
    const left = this.#stopAt === null ? null : Math.max(BUDGET_MS - (this.now - this.#stopAt), 0);
    return {
      type: 'facts',
      at: this.now,
      status: {
        version: '0.1.0',
        uptimeMs: this.now - this.options.startedAt,
        phase: this.phase,
        pid: this.options.pid,
        data: '/var/lib/sluice',
        port: this.options.clientPort,
        sessions,
        topics: 12,
        inFlightBytes: this.recordsPerSecond * 9 + this.#integer(90_000),
        lastShutdown: this.options.lastShutdown,
        shards: this.shards.map(({ id, state, detail, records, groups, logBytes, pendingBytes, writeSince }) => ({
          id,
          state,
          detail,
          records,
          groups,
          logBytes,
          queueBytes: pendingBytes + (this.recordsPerSecond > 0 ? this.#integer(160_000) : 0),
          partitions: 16,
          writeAgeMs: writeSince === null ? (this.recordsPerSecond > 0 ? 1 : null) : this.now - writeSince,
          flushBytesPerSecond: 52_000_000 + this.#integer(4_000_000),
          diskFull: false,
          diskFreeBytes: 412 * 1024 ** 3,
          ackP99Ms: this.recordsPerSecond > 0 ? 4 + this.#integer(300) / 100 : null,
        })),
      },
      shutdown: {
        phase: this.phase,
        stopping: this.stopping,
        phaseMs: this.now - this.#phaseSince,
        phaseBudgetMs: this.stopping ? (BUDGETS[this.phase] ?? null) : null,
        ...(this.phase === 'running'
          ? {}
          : { reason: this.stopping ? 'SIGTERM' : 'drained by hand', mode: 'graceful', requests: 1 }),
        ...(left === null ? {} : { deadlineMs: left }),
        etaMs: pendingBytes === 0 ? 0 : Math.round(pendingBytes / 52_000),
        pendingBytes,
        stalled: false,
        sessions,
        phases: this.#phases.map((phase) => ({ ...phase })),
        shards: this.shards.map((shard) => ({
          id: shard.id,
          state: shard.state,
          operation: shard.operation,
          operationMs: this.now - shard.operationSince,
          pendingRecords: shard.pendingRecords,
          pendingBytes: shard.pendingBytes,
          flushedRecords: shard.flushedRecords,
          flushedBytes: shard.flushedBytes,
          writeAgeMs: shard.writeSince === null ? null : this.now - shard.writeSince,
          detail: shard.detail,
        })),
        children: [
          ...this.shards.map(({ id, state, detail }) => ({ id, kind: 'shard', state, detail })),
          {
            id: 'gateway',
            kind: 'gateway',
            state: this.phase === 'releasing' ? 'released' : this.phase === 'running' ? 'ready' : 'drained',
            detail: null,
          },
          { id: 'admin', kind: 'admin', state: this.#ended ? 'released' : 'ready', detail: null },
        ],
      },
      sessions: { open: sessions, shown: sessions, events: true },
      eventsPerSecond,
    };
  }

  #batch(frames: readonly Frame[]): Batch {
    this.#seq += 1;
    return { v: 1, seq: this.#seq - 1, at: this.now, dropped: 0, frames };
  }

  /** Below `bound`; the same sequence in every run. */
  #integer(bound: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * bound);
  }
}

function pathsOf(value: StateValue | null, above = ''): string[] {
  if (value === null) return [];
  const join = (key: string) => (above === '' ? key : `${above}.${key}`);
  if (typeof value === 'string') return [join(value)];
  return Object.entries(value).flatMap(([key, inner]) => [join(key), ...pathsOf(inner ?? null, join(key))]);
}
