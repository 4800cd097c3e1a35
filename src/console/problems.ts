/** What is wrong, the worst first: one line each for people, and where to look. Pure. */

import { hasEnded, isAtWork, type LastShutdown, type ShardProgress } from './facts.ts';
import { counted, durationText } from './format.ts';
import { plainText } from './plain-text.ts';
import type { World } from './world.ts';

export interface Problem {
  readonly id: string;
  readonly severity: 'bad' | 'warning';
  readonly title: string;
  readonly detail: string;
  /** Route of the view that shows more. */
  readonly route: 'overview' | 'charts' | 'shutdown' | 'time';
}

/** A synced write takes milliseconds; this long is no slow disk any more, ms. */
const WRITE_MS_MAX = 2000;
/** What a shard may be at in a shutdown before it is named, ms. */
const STUCK_MS = 2000;
const DISK_FREE_LOW_BYTES = 1024 ** 3;

export function problemsOf(world: World): Problem[] {
  const problems = [...shardProblems(world), ...shutdownProblems(world), ...sourceProblems(world)];
  return problems.sort((one, other) => rank(one) - rank(other));
}

/** Shards that a shutdown waits for and that do not get on. */
export function stuckShards({ shutdown, ended }: World): ShardProgress[] {
  if (shutdown === null || ended !== null) return [];
  if (!['draining', 'flushing', 'releasing'].includes(shutdown.phase)) return [];
  const atWork = shutdown.shards.filter(isAtWork);
  return atWork.filter(({ operationMs, writeAgeMs }) => Math.max(operationMs ?? 0, writeAgeMs ?? 0) >= STUCK_MS);
}

/** Whether a shutdown ended as it should; what it cost, if not. */
export function isClean({ outcome }: LastShutdown): boolean {
  return outcome === 'clean';
}

function shardProblems(world: World): Problem[] {
  const { status, shutdown, trace, ended } = world;
  const problems: Problem[] = [];
  const stuck = stuckShards(world).map(({ id }) => id);
  for (const { id, state: told, detail, diskFull, diskFreeBytes, writeAgeMs } of status?.shards ?? []) {
    const name = plainText(id);
    // Its chart says it at once; figures come once a second, and none come behind the end.
    const state = trace.endOf(id) ?? told;
    if (state === 'failed' || state === 'abandoned') {
      problems.push({
        id: `${id} ${state}`,
        severity: 'bad',
        title: `${name} ${state === 'failed' ? 'has failed' : 'was abandoned'}`,
        detail: detail === null ? whyEnded(world, id) : plainText(detail, 300),
        route: shutdown?.stopping === true || ended !== null ? 'shutdown' : 'charts',
      });
    }
    if (diskFull) {
      problems.push({
        id: `${id} disk`,
        severity: 'bad',
        title: `The disk of ${name} is full`,
        detail: 'Publishes are refused until there is room; what was acknowledged is kept.',
        route: 'overview',
      });
    } else if (diskFreeBytes !== null && diskFreeBytes < DISK_FREE_LOW_BYTES) {
      problems.push({
        id: `${id} low`,
        severity: 'warning',
        title: `Little room on the disk of ${name}`,
        detail: `Less than 1 GiB is free.`,
        route: 'overview',
      });
    }
    // What a shutdown waits for is said by the shutdown.
    if ((writeAgeMs ?? 0) >= WRITE_MS_MAX && !hasEnded(state) && !stuck.includes(id)) {
      problems.push({
        id: `${id} write`,
        severity: 'bad',
        title: `A write of ${name} hangs`,
        detail: `It has been under way for ${durationText(writeAgeMs)}.`,
        route: 'overview',
      });
    }
  }
  return problems;
}

/** What a shard that has ended badly was last known to be at. */
function whyEnded({ trace }: World, id: string): string {
  const last = trace.last?.shards.find((shard) => shard.id === id);
  if (trace.begunAt === null) return 'Its topics are not served.';
  if (last === undefined || !isAtWork(last)) return 'It had not come to its end when its time was up.';
  const behind = last.pendingRecords === 0 ? '' : ` ${counted(last.pendingRecords, 'record')} waited behind it.`;
  return `It was last at “${plainText(last.operation ?? '?')}”, for ${durationText(Math.max(last.operationMs ?? 0, last.writeAgeMs ?? 0))}.${behind}`;
}

/** Shards that a shutdown left behind as they should not be, and what they were at. */
export function badEnds(world: World): { readonly id: string; readonly state: string; readonly why: string }[] {
  return world.trace.lanes.flatMap(({ id }) => {
    const state = world.trace.endOf(id);
    return state === null || state === 'released' ? [] : [{ id, state, why: whyEnded(world, id) }];
  });
}

function shutdownProblems(world: World): Problem[] {
  const { shutdown, status, ended } = world;
  const problems: Problem[] = [];
  for (const { id, operation, operationMs } of stuckShards(world)) {
    problems.push({
      id: `${id} stuck`,
      severity: 'bad',
      title: `The shutdown waits for ${plainText(id)}`,
      detail: `It has been at “${plainText(operation ?? '?')}” for ${durationText(operationMs)}.`,
      route: 'shutdown',
    });
  }
  if (shutdown === null || ended !== null) return problems;
  if (shutdown.stalled && problems.length === 0) {
    problems.push({
      id: 'stalled',
      severity: 'bad',
      title: 'The shutdown stands still',
      detail: 'Nothing has moved for two seconds.',
      route: 'shutdown',
    });
  }
  if (shutdown.phase === 'starting') {
    const behind = status?.shards.filter(({ state }) => state === 'starting').length ?? 0;
    problems.push({
      id: 'starting',
      severity: 'warning',
      title: 'Not ready yet: starting',
      detail: behind === 0 ? 'The broker is opening its data.' : `${counted(behind, 'shard')} still recovering.`,
      route: 'charts',
    });
  } else if (shutdown.phase !== 'running') {
    problems.push({
      id: 'leaving',
      severity: 'warning',
      title: shutdown.stopping ? `Not ready: stopping (${shutdown.phase})` : 'Not ready: drained, and staying',
      detail: shutdown.reason === null ? 'New connections are refused.' : `Reason: ${plainText(shutdown.reason, 200)}.`,
      route: 'shutdown',
    });
  }
  return problems;
}

function sourceProblems({ status, dropped, actors }: World): Problem[] {
  const problems: Problem[] = [];
  const last = status?.lastShutdown ?? null;
  if (last !== null && !isClean(last)) {
    problems.push({
      id: 'last shutdown',
      severity: 'warning',
      title: `The last shutdown was not clean: ${plainText(last.outcome)}`,
      detail: `${counted(last.lost, 'record')} lost, ${countedUnknown(last.unknown)}.`,
      route: 'shutdown',
    });
  }
  const broken = [...actors.values()].filter(({ status: is, gone }) => is === 'error' && !gone);
  for (const { id, name, error } of broken.slice(0, 5)) {
    problems.push({
      id: `${id} error`,
      severity: 'bad',
      title: `Actor ${plainText(name)} is in error`,
      detail: plainText(error ?? 'It takes no events any more.', 300),
      route: 'charts',
    });
  }
  if (dropped > 0) {
    problems.push({
      id: 'dropped',
      severity: 'warning',
      title: `This page was too slow for ${counted(dropped, 'frame')}`,
      detail: 'They are missing from the event log and from the recording; states are as they are.',
      route: 'time',
    });
  }
  return problems;
}

function countedUnknown(unknown: number): string {
  return `${counted(unknown, 'record')} of unknown outcome`;
}

function rank({ severity }: Problem): number {
  return severity === 'bad' ? 0 : 1;
}
