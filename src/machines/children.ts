/** The roll of the supervisor's children: who there is, what each said last. An end is told once and stays. */
import {
  type ChildCounts,
  type ChildKind,
  type ChildRecord,
  type ChildReport,
  type ChildState,
  noCounts,
} from './report.ts';
import type { SupervisorContext, SupervisorInput } from './supervisor-context.ts';

/** States that a child does not leave. */
export const ended: readonly ChildState[] = ['released', 'failed', 'abandoned'];

export function guestRecords(input: SupervisorInput): Readonly<Record<string, ChildRecord>> {
  const records = input.guests.map(({ id }): [string, ChildRecord] => [
    id,
    newRecord(id, 'guest', 'ready', input.now()),
  ]);
  return Object.fromEntries(records);
}

export function withChild(
  context: SupervisorContext,
  id: string,
  kind: ChildKind,
  state: ChildState = 'starting',
): Pick<SupervisorContext, 'children'> {
  return { children: { ...context.children, [id]: newRecord(id, kind, state, context.now()) } };
}

function newRecord(id: string, kind: ChildKind, state: ChildState, since: number): ChildRecord {
  return { id, kind, state, detail: null, counts: noCounts, since };
}

/** Drained children serve again. */
export function readyAgain(context: SupervisorContext): Readonly<Record<string, ChildRecord>> {
  const children = Object.entries(context.children).map(([id, child]): [string, ChildRecord] => [
    id,
    child.state === 'drained' ? { ...child, state: 'ready', since: context.now() } : child,
  ]);
  return Object.fromEntries(children);
}

export function shardsOf(context: SupervisorContext): ChildRecord[] {
  return Object.values(context.children).filter(({ kind }) => kind === 'shard');
}

/** True once a child that was recorded has told its end. */
export function hasEnded({ children }: Pick<SupervisorContext, 'children'>, id: string): boolean {
  return Object.values(children).some((child) => child.id === id && ended.includes(child.state));
}

/** The gateway and the guests have ended, or are in one of `states`. */
export function othersAre(context: SupervisorContext, states: readonly ChildState[]): boolean {
  return Object.values(context.children)
    .filter(({ kind }) => kind === 'gateway' || kind === 'guest')
    .every(({ state }) => ended.includes(state) || states.includes(state));
}

export function withReport(context: SupervisorContext, report: ChildReport): Readonly<Record<string, ChildRecord>> {
  const before = context.children[report.id];
  // A report from nobody, or one behind a child's end: an end is told once and stays.
  if (before === undefined || ended.includes(before.state)) return context.children;
  const state = report.type.slice('child.'.length) as ChildState;
  return {
    ...context.children,
    [report.id]: { ...before, state, detail: detailOf(report), counts: countsOf(report), since: context.now() },
  };
}

/** What is recorded of a child whose chart broke and can't report any more. */
export function brokenReport(event: { readonly actorId: string; readonly error: unknown }): ChildReport {
  const { actorId: id, error } = event;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'child.failed', id, during: 'its own chart', detail };
}

function countsOf(report: ChildReport): ChildCounts {
  return 'counts' in report && report.counts !== undefined ? report.counts : noCounts;
}

function detailOf(report: ChildReport): string | null {
  if (report.type === 'child.failed') return `${report.during}: ${report.detail}`;
  if (report.type === 'child.abandoned') return `${report.operation}, for ${report.ageMs} ms`;
  return null;
}
