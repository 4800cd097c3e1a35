/**
 * Opens what a power cut left with the real recovery, and judges what it found: on a disk in memory, with the derived
 * state lost (`openInMemory`: fast, so that there can be many, and the log alone decides), or on a real folder with the
 * derived state as the cut left it (`openOnDisk`).
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBroker } from '../../src/broker.ts';
import { createLogger } from '../../src/logger.ts';
import { MemoryDisk, MemoryMeta } from '../../src/testing/index.ts';
import { readDataDirectory, realFolder, type StoredDirectory } from '../checker/data-directory.ts';
import { checkHistory, isKept } from '../checker/history.ts';
import type { DataSource } from '../checker/log-reader.ts';
import type { CrashState } from './traced-disk.ts';
import { TRACED_SHARDS, type TracedRun } from './traced-run.ts';

const ROOT = '/data';
const config = {
  shards: TRACED_SHARDS,
  segmentBytes: 65_536,
  checkpointBytes: 65_536,
  reserveBytes: 0,
  diskLowBytes: 0,
};
const parts = { logger: createLogger({ level: 'silent' }) };

/** The log of a shard, or what leads to it: what recovery from the log alone depends on. */
export function decidesInMemory(path: string): boolean {
  return !/(^|\/)(meta|lock)(\/|$)/.test(path);
}

/**
 * What was wrong; empty when nothing was. `again`: in the middle of the recovery the power goes once more, behind this
 * many of its calls, and what is left of that is opened.
 */
export async function openInMemory(
  state: CrashState,
  run: TracedRun,
  place: number,
  again: { readonly calls: number; readonly random: () => number } | null,
): Promise<string[]> {
  const before = readDataDirectory(stateSource(state));
  let disk = await memoryDisk(state);
  if (again !== null) disk = await cutAgain(disk, again);
  const broker = memoryBroker(disk);
  await broker.start();
  // What recovery shows must be durable, also should nothing follow.
  const found = readDataDirectory(memorySource(disk.crash({ keep: 'none' })));
  const { outcome, children } = await broker.stop();
  const faults = judge(before, found, run, place);
  if (outcome !== 'clean') faults.push(`it ended ${outcome}: ${JSON.stringify(children)}`);
  if (again === null) return faults;
  // A clean stop adds its mark and nothing else.
  const after = readDataDirectory(memorySource(disk));
  if (countsOf(found) !== countsOf(after)) faults.push(`running it had ${countsOf(found)}, stopped ${countsOf(after)}`);
  if (!after.shards.every(({ clean }) => clean)) faults.push('it ended clean without its marks');
  return [...faults, ...after.faults];
}

/** The same with the real disk and the real derived state. */
export async function openOnDisk(state: CrashState, run: TracedRun, place: number): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-crash-'));
  try {
    for (const path of state.folders) await mkdir(join(folder, path), { recursive: true, mode: 0o700 });
    for (const [path, bytes] of state.files) await writeFile(join(folder, path), bytes, { mode: 0o600 });
    const before = readDataDirectory(stateSource(state));
    const broker = createBroker({ ...config, data: folder, listen: false, admin: false }, parts);
    await broker.start();
    const { outcome, children } = await broker.stop();
    const faults = outcome === 'clean' ? [] : [`it ended ${outcome}: ${JSON.stringify(children)}`];
    return [...faults, ...judge(before, readDataDirectory(realFolder(folder)), run, place)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function judge(before: StoredDirectory, after: StoredDirectory, run: TracedRun, place: number): string[] {
  const due = <T extends { readonly from: number; readonly until: number }>(all: readonly T[]): T[] =>
    all.filter(({ from, until }) => from <= place && place < until);
  const faults = [...before.faults.map((fault) => `as it was left: ${fault}`), ...after.faults];
  const verdict = checkHistory({ sent: run.sent, acked: due(run.acked), refused: [], unknown: [] }, after);
  if (!isKept(verdict)) faults.push(JSON.stringify(verdict));
  for (const { name, offset } of due(run.commits)) {
    if ((after.commits.get(name) ?? -1) < offset) faults.push(`the commit of ${offset} for ${name} is lost`);
  }
  for (const { topic } of due(run.deleted)) if (after.topics.has(topic)) faults.push(`${topic} came back`);
  // Two readings of one document: what the checker finds in the state is what the broker made of it.
  const [left, opened] = [countsOf(before), countsOf(after)];
  if (left !== opened) faults.push(`the checker found ${left}, the broker ${opened}`);
  return faults;
}

function countsOf({ topics, commits }: StoredDirectory): string {
  const counts = [...topics].map(([name, { partitions }]) => [
    name,
    [...partitions].map(([partition, { records }]) => [partition, records.length]).sort(),
  ]);
  return JSON.stringify([counts.sort(), [...commits].sort()]);
}

function memoryBroker(disk: MemoryDisk): ReturnType<typeof createBroker> {
  const lock = async () => ({ release: async () => {} });
  return createBroker(
    { ...config, data: ROOT, listen: false, admin: false },
    { ...parts, disk, meta: new MemoryMeta(), lock },
  );
}

async function cutAgain(
  disk: MemoryDisk,
  again: { readonly calls: number; readonly random: () => number },
): Promise<MemoryDisk> {
  let left: MemoryDisk | null = null;
  let calls = 0;
  disk.onCall = () => {
    calls += 1;
    if (calls === again.calls) {
      left = disk.crash({ keep: 'torn', random: { next: again.random, id: () => '' } });
    }
  };
  const broker = memoryBroker(disk);
  await broker.start();
  await broker.stop();
  return left ?? disk.crash({ keep: 'none' });
}

/** The state as a disk on which all of it is durable. */
async function memoryDisk({ files, folders }: CrashState): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  for (const path of folders) await disk.makeDirectory(join(ROOT, path));
  for (const [path, bytes] of files) {
    if (!decidesInMemory(path)) continue;
    const file = await disk.openWrite(join(ROOT, path), 'create');
    await file.writeSynced([bytes], 0);
    await file.close();
  }
  await disk.syncDirectory('/');
  for (const path of folders) await disk.syncDirectory(join(ROOT, path));
  return disk;
}

function stateSource({ files, folders }: CrashState): DataSource {
  return sourceOf([...files.keys(), ...folders], (path) => files.get(path) as Buffer);
}

function memorySource(disk: MemoryDisk): DataSource {
  const paths = disk.paths.filter((path) => path.startsWith(`${ROOT}/`)).map((path) => path.slice(ROOT.length + 1));
  return sourceOf(paths, (path) => disk.bytesOf(join(ROOT, path)));
}

function sourceOf(paths: readonly string[], read: (path: string) => Uint8Array): DataSource {
  return {
    list: (path) => {
      const within = path === '.' ? '' : `${path}/`;
      const below = paths.filter((name) => name !== '.' && name.startsWith(within));
      return [...new Set(below.map((name) => name.slice(within.length).split('/')[0] as string))];
    },
    read,
  };
}
