/**
 * What `/metrics` tells of consumer groups: sums over all of them, since a group has no series of its own. The lag is
 * counted, not read: no scrape looks into the log.
 */
import { lagRecords } from './actors/group-lag.ts';
import type { RunningBroker } from './broker-status.ts';
import type { MetricFamily, Sample } from './metric-family.ts';
import type { GroupReply } from './protocol/replies.ts';

interface GroupMoment {
  readonly running: RunningBroker;
}

/** Counted once for a scrape. */
const lags = new WeakMap<GroupMoment, ReturnType<typeof lagRecords>>();

function lagOf(moment: GroupMoment): ReturnType<typeof lagRecords> {
  const lag = lags.get(moment) ?? lagRecords(moment.running.assembly);
  lags.set(moment, lag);
  return lag;
}

const states: readonly GroupReply['state'][] = ['empty', 'preparing', 'stable', 'revoking'];

export const groupFamilies: readonly MetricFamily<GroupMoment>[] = [
  {
    name: 'sluice_groups',
    type: 'gauge',
    help: 'Consumer groups that have or had members, by state.',
    labels: ['state'],
    read: ({ running }) => {
      const groups = running.assembly.groups.list();
      return states.map((state): Sample => [groups.filter((group) => group.state === state).length, { state }]);
    },
  },
  {
    name: 'sluice_group_members',
    type: 'gauge',
    help: 'Members of all groups: those with a connection, and those that are waited for.',
    labels: ['state'],
    read: ({ running }) => {
      const members = running.assembly.groups.list().flatMap((group) => group.members);
      const present = members.filter((member) => member.present).length;
      return [
        [present, { state: 'present' }],
        [members.length - present, { state: 'absent' }],
      ];
    },
  },
  {
    name: 'sluice_group_rebalances_total',
    type: 'counter',
    help: 'New assignments of partitions to members, over all groups.',
    labels: [],
    read: ({ running }) => [[running.assembly.groups.counts.rebalances]],
  },
  {
    name: 'sluice_group_expired_members_total',
    type: 'counter',
    help: 'Members given up: silent, or not back in time.',
    labels: [],
    read: ({ running }) => [[running.assembly.groups.counts.expiredMembers]],
  },
  {
    name: 'sluice_group_expired_revocations_total',
    type: 'counter',
    help: 'Partitions that went on because their owners did not give them back in time.',
    labels: [],
    read: ({ running }) => [[running.assembly.groups.counts.expiredRevocations]],
  },
  {
    name: 'sluice_group_refused_commits_total',
    type: 'counter',
    help: 'Commits for groups with members that were fenced, by the code of the answer.',
    labels: ['code'],
    read: ({ running }) =>
      Object.entries(running.assembly.groups.refusedCommits).map(([code, count]): Sample => [count, { code }]),
  },
  {
    name: 'sluice_group_lag_records',
    type: 'gauge',
    help: 'Durable records that groups with members have yet to commit, over all groups.',
    labels: [],
    read: (moment) => [[lagOf(moment).sum]],
  },
  {
    name: 'sluice_group_lag_worst_records',
    type: 'gauge',
    help: 'The same, of the group that is furthest behind.',
    labels: [],
    read: (moment) => [[lagOf(moment).max]],
  },
];
