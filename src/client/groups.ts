/**
 * `sluice/client/groups`: consumer groups, beside `sluice/client`. An entry of its own, so that pages which don't share
 * work need not carry it. `docs/client.md` is the guide.
 */
import type { GroupReply, Groups, Lag, PartitionLag } from '../protocol/replies.ts';
import type { Client } from './client.ts';
import { GroupConsumer } from './group-consumer.ts';
import type { GroupOptions } from './group-options.ts';

/**
 * Joins a group: an async iterator over the records of the partitions that this member is given. Lasts until it is
 * closed, aborted, or its place is taken by another connection of the same member (MEMBER_TAKEN). Throws BAD_REQUEST.
 */
export function joinGroup(client: Client, options: GroupOptions): GroupConsumer {
  const consumer = new GroupConsumer(client.host, options);
  client.host.subscriptions.add(consumer);
  if (options.signal?.aborted) consumer.end(null);
  else if (client.state === 'closed') throw consumer.closed();
  else consumer.open();
  return consumer;
}

/** The groups that have or had members, with their members. */
export async function listGroups(client: Client): Promise<readonly GroupReply[]> {
  return (await client.host.requests.call<Groups>({ op: 'groups' })).groups;
}

/** How far a group is behind, partition by partition; empty for one that nobody knows. */
export async function groupLag(client: Client, group: string): Promise<readonly PartitionLag[]> {
  return (await client.host.requests.call<Lag>({ op: 'lag', group })).partitions;
}

export type { GroupReply, PartitionLag } from '../protocol/replies.ts';
export { GroupConsumer } from './group-consumer.ts';
export type { CloseOptions, CommitMode, GroupOptions } from './group-options.ts';
export type { GroupPartition } from './group-partition.ts';
export { GroupRecord } from './group-record.ts';
