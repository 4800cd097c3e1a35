/**
 * Consumer groups of real processes: members that are killed, stopped past the limit, told to leave and started again,
 * under load and through restarts of the broker. Nothing is skipped, no partition has two owners in one generation, and
 * the lag drains. A few members for a few seconds here; with `PROOF_SIZE=full` 20 members on 100 partitions for ten
 * minutes and ten restarts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { groupLag, listGroups } from '../../src/client/groups.ts';
import { type Client, connect } from '../../src/client/index.ts';
import { type BrokerProcess, freePort } from '../support/broker-process.ts';
import { brokerRig, pause } from '../support/broker-rig.ts';

const full = process.env['PROOF_SIZE'] === 'full';
const MEMBERS = full ? 20 : 4;
const PARTITIONS = full ? 100 : 12;
const RUN_MS = full ? 600_000 : 6_000;
const BROKER_RESTARTS = full ? 10 : 1;
const SILENCE_MS = 1500;
const TOPIC = 'orders';
const GROUP = 'billing';

const rig = brokerRig();

interface Told {
  readonly e: string;
  readonly t: number;
  readonly partitions?: readonly (readonly [number, number])[];
  readonly given?: readonly (readonly [number, number])[];
  readonly code?: string;
  readonly state?: string;
}

/** A member that is started again whenever it ends. */
class MemberProcess {
  readonly id: string;
  readonly told: Told[] = [];
  readonly #url: string;
  #child: ChildProcess | null = null;
  #ended = false;
  #returning = false;

  constructor(url: string, id: string) {
    this.#url = url;
    this.id = id;
    this.start();
  }

  start(): void {
    const script = resolve(import.meta.dirname, 'group-member.mjs');
    const child = spawn(process.execPath, [script, this.#url, GROUP, TOPIC, this.id], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.told.push(JSON.parse(line) as Told));
  }

  /** Ends it; resolves when it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Nothing while it is about to start again anyway: two processes of one id would take each other's place. */
  async again(signal: NodeJS.Signals, afterMs: number): Promise<void> {
    if (this.#returning) return;
    this.#returning = true;
    await this.end(signal);
    await pause(afterMs);
    this.#returning = false;
    if (!this.#ended) this.start();
  }

  async stop(): Promise<void> {
    this.#ended = true;
    await this.end('SIGKILL');
  }
}

function flags(): string[] {
  return [
    ...['--group-silence-ms', String(SILENCE_MS), '--group-grace-ms', '1000', '--group-revoke-ms', '2000'],
    ...['--group-rejoin-ms', '5000', '--log-level', 'warn'],
  ];
}

async function stage(members: number, partitions: number) {
  const data = await rig.folder();
  const port = await freePort();
  const start = (): Promise<BrokerProcess> => rig.start({ data, port, flags: [...flags(), '--log-level', 'info'] });
  const broker = await start();
  const client = await connect(broker.url, { WebSocket, backoff: { minMs: 20, maxMs: 300 } });
  rig.cleanup(() => client.close());
  await client.createTopic(TOPIC, { partitions });
  const processes = Array.from({ length: members }, (_, at) => new MemberProcess(broker.url, `m${at}`));
  rig.cleanup(() => Promise.all(processes.map((member) => member.stop())));
  await until(15_000, async () => (await present(client)) === members && (await state(client)) === 'stable');
  return { broker, start, client, processes };
}

async function present(client: Client): Promise<number> {
  const [group] = await listGroups(client);
  return group?.members.filter((member) => member.present && member.partitions > 0).length ?? 0;
}

async function state(client: Client): Promise<string> {
  return (await listGroups(client))[0]?.state ?? 'none';
}

async function until(withinMs: number, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`nothing came of it within ${withinMs} ms`);
    await pause(20);
  }
}

/** Publishes small batches to all partitions, and keeps the end of each. */
class Load {
  readonly ends = new Map<number, number>();
  readonly #client: Client;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(client: Client, partitions: number) {
    this.#client = client;
    this.#running = this.#run(partitions);
  }

  async #run(partitions: number): Promise<void> {
    for (let turn = 0; !this.#stopped; turn += 1) {
      const publishing = Array.from({ length: 20 }, async (_, at) => {
        const ack = await this.#client.publish(TOPIC, { value: turn, partition: (turn * 7 + at) % partitions });
        this.ends.set(ack.partition, Math.max(this.ends.get(ack.partition) ?? 0, ack.offset + 1));
      });
      await Promise.all(publishing);
      await pause(20);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

describe(`${MEMBERS} members on ${PARTITIONS} partitions`, () => {
  it('skip nothing, own nothing twice in a generation, and drain their lag, whatever becomes of them and of the broker', {
    timeout: RUN_MS + 120_000,
  }, async () => {
    const { start, client, processes, ...first } = await stage(MEMBERS, PARTITIONS);
    let { broker } = first;
    const load = new Load(client, PARTITIONS);
    const end = Date.now() + RUN_MS;
    const troubles: Promise<unknown>[] = [];
    let restarts = 0;
    for (let round = 0; Date.now() < end; round += 1) {
      const member = processes[Math.floor(Math.random() * processes.length)] as MemberProcess;
      const kind = round % 3;
      if (kind === 0) troubles.push(member.again('SIGKILL', Math.random() * 1500));
      else if (kind === 1) troubles.push(member.again('SIGTERM', Math.random() * 500));
      else {
        member.signal('SIGSTOP');
        await pause(SILENCE_MS + 1500);
        member.signal('SIGCONT');
      }
      await pause(full ? 2000 : 500);
      const share = 1 - (end - Date.now()) / RUN_MS;
      if (restarts < BROKER_RESTARTS && share > (restarts + 0.5) / BROKER_RESTARTS) {
        restarts += 1;
        await broker.stop(restarts % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
        broker = await start();
      }
    }
    // On a slow machine a round may have taken all of the time.
    for (; restarts < BROKER_RESTARTS; restarts += 1) {
      await broker.stop('SIGKILL');
      broker = await start();
    }
    await Promise.all(troubles);
    await load.stop();
    await until(40_000, async () => {
      const lag = await groupLag(client, GROUP);
      return lag.length === PARTITIONS && lag.every(({ records, member }) => records === 0 && member !== null);
    });
    // The last lines are on their way.
    await pause(300);

    const owners = new Map<string, string>();
    const given = new Map<number, Set<number>>();
    let events = 0;
    for (const { id, told } of processes) {
      for (const event of told) {
        for (const [partition, generation] of event.partitions ?? []) {
          const key = `${partition} in ${generation}`;
          events += 1;
          expect(owners.get(key) ?? id, key).toBe(id);
          owners.set(key, id);
        }
        for (const [partition, offset] of event.given ?? []) {
          given.set(partition, (given.get(partition) ?? new Set()).add(offset));
        }
      }
    }
    let records = 0;
    let twice = 0;
    for (const [partition, last] of load.ends) {
      const seen = given.get(partition) ?? new Set();
      records += last;
      for (let offset = 0; offset < last; offset += 1) {
        if (!seen.has(offset)) throw new Error(`${TOPIC}/${partition}@${offset} of ${last} was given to nobody`);
      }
    }
    for (const { told } of processes) twice += told.reduce((sum, { given: rows = [] }) => sum + rows.length, 0);
    console.log(
      `groups: ${records} records, ${twice - records} given more than once, ${events} assignments of ` +
        `${owners.size} (partition, generation), ${restarts} restarts of the broker`,
    );
    expect(records).toBeGreaterThan(200);
    expect(restarts).toBe(BROKER_RESTARTS);
    expect((await broker.stop()).code).toBe(0);
  });

  it('are fast: an assignment anew, a planned leave, and a restart of the broker', { timeout: 90_000 }, async () => {
    const { start, client, processes, broker } = await stage(MEMBERS, PARTITIONS);
    const [leaver, ...others] = processes as [MemberProcess, ...MemberProcess[]];
    const lastOwned = (): number =>
      Math.max(...others.flatMap(({ told }) => told.filter(({ e }) => e === 'owned').map(({ t }) => t)));

    const left = Date.now();
    await leaver.end('SIGTERM');
    await until(10_000, async () => (await present(client)) === MEMBERS - 1 && lastOwned() >= left);
    const leaveMs = lastOwned() - left;

    leaver.told.length = 0;
    const joined = Date.now();
    leaver.start();
    await until(20_000, () => leaver.told.some(({ e }) => e === 'owned'));
    await until(10_000, async () => (await state(client)) === 'stable');
    const began = leaver.told.find(({ e, state: entered }) => e === 'state' && entered === 'ready')?.t ?? joined;
    const joinMs = Math.max(...leaver.told.filter(({ e }) => e === 'owned').map(({ t }) => t)) - began;

    for (const { told } of processes) told.length = 0;
    await broker.stop('SIGKILL');
    const again = await start();
    await until(20_000, () => processes.every(({ told }) => told.some(({ e }) => e === 'owned')));
    const resumes = processes.map(({ told }) => {
      const ready = told.find(({ e, state: entered }) => e === 'state' && entered === 'ready')?.t ?? 0;
      return (told.find(({ e }) => e === 'owned')?.t ?? 0) - ready;
    });
    const resumeMs = Math.max(...resumes);
    console.log(
      `groups: ${PARTITIONS} partitions, ${MEMBERS} members: a planned leave ${leaveMs} ms, a join ${joinMs} ms, ` +
        `resumed ${resumeMs} ms behind the return of the socket at the most`,
    );
    // Wide of the figures that it prints: other tests run beside it.
    expect(leaveMs).toBeLessThan(2_000);
    expect(joinMs).toBeLessThan(5_000);
    expect(resumeMs).toBeLessThan(5_000);
    expect((await again.stop()).code).toBe(0);
  });
});
