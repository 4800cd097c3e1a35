/** What the figures were made on: without it they say nothing. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from 'node:os';
import { findProgram } from './systems/program.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  /** File system of the data folders. */
  readonly fileSystem: string;
  readonly node: string;
  /** Version of each peer that is a program, by name. */
  readonly programs: Readonly<Record<string, string>>;
  /** When the run began, ISO 8601. */
  readonly at: string;
}

export function describeMachine(): Machine {
  const programs = [
    ['nats-server', 'BENCH_NATS_SERVER', '--version'],
    ['redis-server', 'BENCH_REDIS_SERVER', '--version'],
    ['mosquitto', 'BENCH_MOSQUITTO', '-h'],
  ] as const;
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    fileSystem: fileSystemOf(tmpdir()),
    node: process.version,
    programs: Object.fromEntries(
      programs.map(([name, variable, flag]) => [name, versionOf(findProgram(name, variable), flag)]),
    ),
    at: new Date().toISOString(),
  };
}

function versionOf(path: string | null, flag: string): string {
  if (path === null) return 'not installed';
  try {
    return firstVersion(execFileSync(path, [flag], { encoding: 'utf8', stdio: 'pipe' }));
  } catch (error) {
    // mosquitto prints its version with its help, and fails.
    return firstVersion(String((error as { stdout?: unknown }).stdout ?? ''));
  }
}

function firstVersion(text: string): string {
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? 'unknown';
}

/** Of the longest mount point above `path`. */
function fileSystemOf(path: string): string {
  try {
    const mounts = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([, point = '']) => path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`))
      .sort(([, a = ''], [, b = '']) => b.length - a.length);
    return mounts[0]?.[2] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
