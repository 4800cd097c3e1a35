/**
 * The chart of a consumer group. Not an actor: groups come by the ten thousand, so it is a pure chart, stepped by the
 * group's coordinator, which has the timers and tells the members.
 *
 * Invariants (those of the group as a value are in `domain/group.ts`)
 *   R1  `empty` has no members; every other state has some.
 *   R2  In `preparing` nothing is assigned: members that come back have what they had, those that are new wait.
 *   R3  `stable`: who owns what is who is to own it. `revoking`: some owner has yet to give something back.
 *   R4  A member that leaves, or is given up, owns nothing behind that step.
 *   R5  An event that a state does not know changes nothing, and none breaks the chart.
 */
import { assign, initialTransition, type SnapshotFrom, setup, transition } from 'xstate';
import {
  allPresent,
  expireRevoking,
  type Group,
  type GroupRecord,
  rebalance,
  release,
  restoreGroup,
  withMember,
  withoutAbsent,
  withoutConnection,
  withoutMember,
  withPartitions,
} from '../domain/group.ts';

export type GroupEvent =
  /** There, new or again. */
  | { readonly type: 'member.joined'; readonly member: string; readonly topics: readonly string[] }
  /** Its connection is gone; it may come back. */
  | { readonly type: 'member.lost'; readonly member: string }
  /** For good: it said so, or it did not come back in time. */
  | { readonly type: 'member.left'; readonly member: string }
  | { readonly type: 'partitions.released'; readonly member: string; readonly keys: readonly string[] }
  /** Their owners had the time they were told. */
  | { readonly type: 'revoke.over'; readonly keys: readonly string[] }
  /** The wait for company, or for those who are known, is over. */
  | { readonly type: 'prepare.over' }
  | { readonly type: 'topics.changed'; readonly partitions: ReadonlyMap<string, number> };

export interface GroupInput {
  readonly record: GroupRecord;
  readonly partitions: ReadonlyMap<string, number>;
}

/** What an event does to a group while nothing is assigned. */
function noted(group: Group, event: GroupEvent): Group {
  switch (event.type) {
    case 'member.joined':
      return withMember(group, event.member, event.topics);
    case 'member.lost':
      return withoutConnection(group, event.member);
    case 'member.left':
      return withoutMember(group, event.member);
    case 'topics.changed':
      return withPartitions(group, event.partitions);
    case 'partitions.released':
      return release(group, event.member, event.keys);
    case 'revoke.over':
      return expireRevoking(group, event.keys);
    default:
      return group;
  }
}

/** The same, and an assignment anew where members or topics changed. */
function settled(group: Group, event: GroupEvent): Group {
  const next = noted(group, event);
  return next.members === group.members && next.partitions === group.partitions ? next : rebalance(next);
}

export const groupMachine = setup({
  types: {} as { context: Group; events: GroupEvent; input: GroupInput },
  actions: {
    note: assign(({ context, event }) => noted(context, event)),
    settle: assign(({ context, event }) => settled(context, event)),
    assignAll: assign(({ context }) => rebalance(context)),
    dropAbsent: assign(({ context }) => withoutAbsent(context)),
  },
  guards: {
    noMembers: ({ context }) => context.members.size === 0,
    someAbsent: ({ context }) => !allPresent(context),
    allPresent: ({ context }) => allPresent(context),
    someToGiveBack: ({ context }) => context.revoking.size > 0,
    nothingToGiveBack: ({ context }) => context.revoking.size === 0,
    someMembers: ({ context }) => context.members.size > 0,
  },
}).createMachine({
  id: 'group',
  initial: 'empty',
  options: { maxIterations: 100 },
  context: ({ input }) => restoreGroup(input.record, input.partitions),
  states: {
    empty: {
      on: { 'member.joined': { actions: 'note' }, 'topics.changed': { actions: 'note' } },
      always: [
        // As the log knows it, behind a restart.
        { guard: 'someAbsent', target: 'preparing.returning' },
        { guard: 'someMembers', target: 'preparing.gathering' },
      ],
    },
    preparing: {
      initial: 'gathering',
      on: {
        'member.joined': { actions: 'note' },
        'member.lost': { actions: 'note' },
        'member.left': { actions: 'note' },
        'topics.changed': { actions: 'note' },
      },
      always: { guard: 'noMembers', target: 'empty', actions: 'assignAll' },
      states: {
        /** A new group waits for company. */
        gathering: { on: { 'prepare.over': { target: '#group.stable', actions: 'assignAll' } } },
        /** Behind a restart: those who are known are waited for. */
        returning: {
          on: { 'prepare.over': { target: '#group.stable', actions: ['dropAbsent', 'assignAll'] } },
          always: { guard: 'allPresent', target: '#group.stable', actions: 'assignAll' },
        },
      },
    },
    stable: {
      on: {
        'member.joined': { actions: 'settle' },
        'member.lost': { actions: 'settle' },
        'member.left': { actions: 'settle' },
        'topics.changed': { actions: 'settle' },
      },
      always: [
        { guard: 'noMembers', target: 'empty' },
        { guard: 'someToGiveBack', target: 'revoking' },
      ],
    },
    revoking: {
      on: {
        'member.joined': { actions: 'settle' },
        'member.lost': { actions: 'settle' },
        'member.left': { actions: 'settle' },
        'topics.changed': { actions: 'settle' },
        'partitions.released': { actions: 'note' },
        'revoke.over': { actions: 'note' },
      },
      always: [
        { guard: 'noMembers', target: 'empty' },
        { guard: 'nothingToGiveBack', target: 'stable' },
      ],
    },
  },
});

export type GroupSnapshot = SnapshotFrom<typeof groupMachine>;
export type GroupState = 'empty' | 'gathering' | 'returning' | 'stable' | 'revoking';

/** The chart of one group, stepped in place. */
export class GroupChart {
  #snapshot: GroupSnapshot;

  constructor(input: GroupInput) {
    [this.#snapshot] = initialTransition(groupMachine, input);
  }

  get snapshot(): GroupSnapshot {
    return this.#snapshot;
  }

  get group(): Group {
    return this.#snapshot.context;
  }

  get state(): GroupState {
    const { value } = this.#snapshot;
    return (typeof value === 'string' ? value : value.preparing) as GroupState;
  }

  send(event: GroupEvent): void {
    [this.#snapshot] = transition(groupMachine, this.#snapshot, event);
  }
}
