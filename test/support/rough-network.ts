/**
 * Two network namespaces and a bad network between them, for brokers and clients that are real processes. `a` is
 * 10.77.0.1 and `b` is 10.77.0.2. The network is a program of its own (`native/rough-link.c`) that carries every packet,
 * since what a kernel offers for that (`tc netem`) is missing from many. Linux, as root, with a C compiler and `nsenter`.
 *
 * Nothing here has a name in the system: it is all gone when the program has ended, which it does with this process, and
 * the last process in a namespace has.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

export type Side = 'a' | 'b';

export const addresses: Readonly<Record<Side, string>> = { a: '10.77.0.1', b: '10.77.0.2' };

/** What becomes of the packets that come from one side. Chances from 0 to 1. */
export interface Weather {
  readonly loss?: number;
  readonly delayMs?: number;
  /** Up to this much more, behind those before it. */
  readonly jitterMs?: number;
  /** Not late at all, and so before those that were sent earlier. */
  readonly reorder?: number;
  readonly twice?: number;
  readonly bytesPerSecond?: number;
  /** What may wait for its turn at that rate; the rest is lost. */
  readonly queueBytes?: number;
  /** Larger packets are lost without a word. */
  readonly mtuBytes?: number;
  /** Everything is lost. */
  readonly cut?: boolean;
}

export interface PacketCounts {
  readonly carried: number;
  readonly lost: number;
  readonly twice: number;
  readonly reordered: number;
  readonly tooLarge: number;
}

const MILLION = 1_000_000;

export class RoughNetwork {
  readonly #program: ChildProcess;
  readonly #answers: Interface;
  readonly #namespaces: Readonly<Record<Side, string>>;
  readonly #folder: string;

  private constructor(program: ChildProcess, answers: Interface, [a = '', b = '']: readonly string[], folder: string) {
    this.#program = program;
    this.#answers = answers;
    this.#namespaces = { a: `/proc/${program.pid}/fd/${a}`, b: `/proc/${program.pid}/fd/${b}` };
    this.#folder = folder;
  }

  /** `seed`: of what is drawn for each packet. */
  static async make(seed: number): Promise<RoughNetwork> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-network-'));
    try {
      const binary = join(folder, 'rough-link');
      const source = resolve(import.meta.dirname, 'native/rough-link.c');
      execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', binary, source]);
      const program = spawn(binary, [String(seed)], { stdio: ['pipe', 'pipe', 'inherit'] });
      program.stdin.on('error', () => {});
      const answers = createInterface({ input: program.stdout });
      const ended = once(program, 'exit').then(([code]) => {
        throw new Error(`the network ended with ${code} before it was there`);
      });
      const [ready] = (await Promise.race([once(answers, 'line'), ended])) as [string];
      ended.catch(() => {});
      return new RoughNetwork(program, answers, ready.split(' ').slice(1), folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** What a command is put behind to run in the namespace of a side. */
  prefix(side: Side): readonly string[] {
    return ['nsenter', `--net=${this.#namespaces[side]}`];
  }

  /** From now on packets that come from `side` go like this. */
  async set(side: Side, weather: Weather): Promise<void> {
    const { loss = 0, delayMs = 0, jitterMs = 0, reorder = 0, twice = 0 } = weather;
    const { bytesPerSecond = 0, queueBytes = 0, mtuBytes = 65_535, cut = false } = weather;
    const numbers = [loss * MILLION, delayMs * 1000, jitterMs * 1000, reorder * MILLION, twice * MILLION];
    const rest = [bytesPerSecond, queueBytes, mtuBytes, cut ? 1 : 0];
    await this.#say(`set ${side} ${[...numbers, ...rest].map(Math.round).join(' ')}`);
  }

  /** The same both ways; nothing for a good network. */
  async setBoth(weather: Weather = {}): Promise<void> {
    await this.set('a', weather);
    await this.set('b', weather);
  }

  /** Takes the network device of a side down, or up again: its own kernel knows. */
  async device(side: Side, up: boolean): Promise<void> {
    await this.#say(`interface ${side} ${up ? 1 : 0}`);
  }

  /** Sets a variable of the kernel, such as `net.ipv4.tcp_orphan_retries`, for the namespace of a side. */
  kernel(side: Side, name: string, value: number): void {
    const [program = '', ...args] = this.prefix(side);
    const file = `/proc/sys/${name.replaceAll('.', '/')}`;
    execFileSync(program, [...args, 'sh', '-c', `echo ${value} > ${file}`]);
  }

  async counts(): Promise<PacketCounts> {
    const [, carried = 0, lost = 0, twice = 0, reordered = 0, tooLarge = 0] = (await this.#say('count'))
      .split(' ')
      .map(Number);
    return { carried, lost, twice, reordered, tooLarge };
  }

  async remove(): Promise<void> {
    const exited = this.#program.exitCode === null ? once(this.#program, 'exit') : null;
    this.#program.stdin?.end();
    await exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Answers come in the order of the lines. */
  async #say(line: string): Promise<string> {
    if (this.#program.exitCode !== null) throw new Error(`the network ended with ${this.#program.exitCode}`);
    const answer = once(this.#answers, 'line');
    this.#program.stdin?.write(`${line}\n`);
    return String((await answer)[0]);
  }
}

/**
 * True where networks can be made. Elsewhere the tests that need one are skipped, aloud; with CI=true it fails where only
 * a program is missing that can be installed.
 */
export function canMakeNetworks(): boolean {
  const program = missingProgram();
  const why = program ?? missingRight();
  if (why === null) return true;
  const how = `bad networks are not tried: ${why}`;
  if (program !== null && process.env['CI'] === 'true') throw new Error(how);
  console.warn(`SKIPPED: ${how}`);
  return false;
}

function missingProgram(): string | null {
  const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
  if (process.platform !== 'linux') return null;
  if (!has('cc')) return 'they need a C compiler (Debian: apt-get install gcc libc6-dev)';
  return has('nsenter') ? null : 'they need nsenter (Debian: apt-get install util-linux)';
}

function missingRight(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'they need Linux and root';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun (a container needs --device /dev/net/tun)';
  if (spawnSync('unshare', ['--net', 'true'], { stdio: 'ignore' }).status !== 0)
    return 'no network namespace may be made here (a container needs --cap-add SYS_ADMIN --cap-add NET_ADMIN)';
  return null;
}
