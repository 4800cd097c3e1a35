/** What a session does for consumer groups: joining and leaving them, giving partitions back, commits, their lag. */
import type { Config } from '../config.ts';
import { assignmentKey } from '../domain/assignment.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  Command,
  CommandId,
  CommitCommand,
  CommitManyCommand,
  CommitRow,
  JoinCommand,
} from '../protocol/commands.ts';
import { GROUP_PARTITIONS_MAX, GROUP_VERSION } from '../protocol/group-parser.ts';
import type { CommittedOffset, RefusedOffset } from '../protocol/replies.ts';
import type { Catalogue } from '../shard/catalogue.ts';
import type { Partition } from '../shard/partition.ts';
import type { ShardEngine } from '../shard/shard-engine.ts';
import type { ShardTable } from '../shard/shard-table.ts';
import { rangeError } from './cursor-start.ts';
import { lagOf } from './group-lag.ts';
import type { Groups } from './groups.ts';
import { Membership } from './membership.ts';
import type { SessionCommands } from './session-commands.ts';
import { type FrameKind, idOf } from './session-outbox.ts';
import type { Subscription } from './subscription.ts';

export interface GroupCommandsHost {
  readonly clock: Clock;
  readonly config: Config;
  readonly shards: ShardTable;
  readonly catalogue: Catalogue;
  readonly groups: Groups;
}

type GroupCommand = Extract<Command, { op: 'commit' | 'join' | 'release' | 'groups' | 'lag' }>;

type CommitResult = { readonly offset: number } | { readonly error: BrokerError };

export class GroupCommands {
  readonly #commands: SessionCommands;
  readonly #host: GroupCommandsHost;
  readonly #memberships = new Map<number, Membership>();
  /** Commits admitted whose outcome is not known yet. */
  unsettled = 0;

  constructor(commands: SessionCommands, host: GroupCommandsHost) {
    this.#commands = commands;
    this.#host = host;
  }

  run(kind: FrameKind, command: GroupCommand): Promise<void> | undefined {
    const { outbox } = this.#commands;
    switch (command.op) {
      case 'join':
        return this.#join(kind, command);
      case 'release': {
        const { id, subscription, partitions } = command;
        this.#membershipOf(subscription).release(partitions);
        outbox.send(kind, { op: 'released', ...idOf(id), subscription });
        return undefined;
      }
      case 'commit':
        if ('offsets' in command) this.#commitMany(kind, command);
        else this.#commitOne(kind, command);
        return undefined;
      case 'groups':
        outbox.send(kind, { op: 'groups', ...idOf(command.id), groups: this.#host.groups.list() });
        return undefined;
      case 'lag':
        return this.#lag(kind, command.id, command.group);
    }
  }

  // --- membership ---

  async #join(kind: FrameKind, command: JoinCommand): Promise<void> {
    const { catalogue, config, shards, groups } = this.#host;
    if (command.version !== GROUP_VERSION) {
      const text = `"version" ${command.version} of group membership is not known here; this broker knows ${GROUP_VERSION}`;
      throw new BrokerError('UNSUPPORTED_VERSION', text);
    }
    this.#commands.checkLimits(command.credit);
    const topics = await Promise.all(command.topics.map((topic) => catalogue.ensure(topic)));
    // Its connection may have ended meanwhile.
    if (this.#commands.ended) return;
    const coordinator = groups.join(command.group);
    const others = [...coordinator.group.partitions].filter(([topic]) => !command.topics.includes(topic));
    const partitions = [...topics.map((topic) => topic.partitions), ...others.map(([, count]) => count)];
    const total = partitions.reduce((sum, count) => sum + count, 0);
    if (total > GROUP_PARTITIONS_MAX) {
      const text = `the topics of group ${command.group} would have ${total} partitions; at most ${GROUP_PARTITIONS_MAX} are allowed`;
      throw new BrokerError('LIMIT_EXCEEDED', text);
    }
    const { group, member, credit } = command;
    const { outbox } = this.#commands;
    const subscription = this.#commands.begin(kind, { topic: null, group, credit });
    const drop = (): void => {
      this.#memberships.delete(subscription.id);
      this.#commands.drop(subscription);
    };
    const membership = new Membership({ kind, command, subscription, outbox, catalogue, shards, coordinator, drop });
    this.#memberships.set(subscription.id, membership);
    this.#commands.watchClosely();
    const { groupRevokeMs: revokeMs, groupGraceMs: graceMs } = config;
    const joined = { op: 'joined', ...idOf(command.id), subscription: subscription.id } as const;
    outbox.send(kind, { ...joined, group, member, revokeMs, graceMs });
    coordinator.join(membership, command.topics);
  }

  #membershipOf(subscription: number): Membership {
    const membership = this.#memberships.get(subscription);
    if (membership !== undefined) return membership;
    this.#commands.subscriptionOf(subscription);
    throw new BrokerError('BAD_REQUEST', `subscription ${subscription} is no member of a group; join one`);
  }

  /** The subscription was ended by its client: a member leaves its group. */
  leave(subscription: number): void {
    const membership = this.#memberships.get(subscription);
    this.#memberships.delete(subscription);
    membership?.coordinator.leave(membership);
  }

  /** The connection is gone. */
  endAll(): void {
    const { silent } = this.#commands;
    for (const membership of this.#memberships.values()) membership.coordinator.lost(membership, silent);
    this.#memberships.clear();
  }

  // --- commits ---

  #commitOne(kind: FrameKind, command: CommitCommand): void {
    const { outbox } = this.#commands;
    const { id, topic, partition } = command;
    this.#commit(this.#commands.subscriptionOf(command.subscription), command, (result) => {
      if ('error' in result) outbox.refuse(kind, id, result.error);
      else outbox.send(kind, { op: 'committed', ...idOf(id), ...placeOf({ topic, partition }), offset: result.offset });
    });
  }

  /** Answered when the last of them is settled: what is durable, and beside it what was refused. */
  #commitMany(kind: FrameKind, { id, subscription: number, offsets: rows }: CommitManyCommand): void {
    const subscription = this.#commands.subscriptionOf(number);
    const offsets: CommittedOffset[] = [];
    const refused: RefusedOffset[] = [];
    for (const row of rows) {
      this.#commit(subscription, row, (result) => {
        if ('error' in result) {
          const { code, retryable, message } = result.error;
          refused.push({ ...placeOf(row), code, retryable, message });
        } else offsets.push({ ...placeOf(row), offset: result.offset });
        if (offsets.length + refused.length < rows.length) return;
        const beside = refused.length === 0 ? {} : { refused };
        this.#commands.outbox.send(kind, { op: 'committed', ...idOf(id), offsets, ...beside });
      });
    }
  }

  /** Calls back once, in this turn with a refusal or when the commit is durable. */
  #commit(subscription: Subscription, row: CommitRow, settled: (result: CommitResult) => void): void {
    const { group } = subscription;
    let place: { readonly engine: ShardEngine; readonly partition: Partition };
    try {
      if (group === undefined) {
        const text = `subscription ${subscription.id} has no "group" to commit for; subscribe with one`;
        throw new BrokerError('BAD_REQUEST', text);
      }
      place = this.#placeOf(subscription, group, row);
      if (row.offset > place.partition.highWatermark) throw rangeError(place.partition, row.offset);
    } catch (error) {
      settled({ error: BrokerError.from(error, 'INTERNAL', 'the commit failed') });
      return;
    }
    const { engine, partition } = place;
    subscription.noteCommit(partition, row.offset);
    this.unsettled += 1;
    const done = (result: CommitResult): void => {
      this.unsettled -= 1;
      settled(result);
    };
    engine.offsets.commit(partition, group, row.offset, {
      committed: () => done({ offset: engine.offsets.committed(partition, group) ?? row.offset }),
      refused: (error) => done({ error }),
    });
  }

  /** Where a commit goes. Throws what keeps it from going. */
  #placeOf(subscription: Subscription, group: string, row: CommitRow): { engine: ShardEngine; partition: Partition } {
    const { groups, catalogue, shards } = this.#host;
    const membership = this.#memberships.get(subscription.id);
    if (membership === undefined) {
      const place = subscription.cursorOf(row.partition);
      if (groups.hasMembers(group)) throw this.#refused(new BrokerError('NOT_ASSIGNED', notMember(group)));
      return place;
    }
    if (row.topic === undefined) throw new BrokerError('BAD_REQUEST', 'a commit of a member needs a "topic"');
    const refusal = membership.refusal(assignmentKey(row.topic, row.partition), row.generation);
    if (refusal !== null) throw this.#refused(refusal);
    const topic = catalogue.require(row.topic);
    const engine = shards.engineOf(topic, row.partition);
    return { engine, partition: engine.partition(topic, row.partition) };
  }

  #refused(error: BrokerError): BrokerError {
    const { refusedCommits } = this.#host.groups;
    if (error.code === 'NOT_ASSIGNED' || error.code === 'STALE_GENERATION') refusedCommits[error.code] += 1;
    return error;
  }

  // --- lag ---

  async #lag(kind: FrameKind, id: CommandId, group: string): Promise<void> {
    const partitions = await lagOf(this.#host, group);
    this.#commands.outbox.send(kind, { op: 'lag', ...idOf(id), group, partitions });
  }
}

function notMember(group: string): string {
  return `group ${group} has members, and only they commit for it: join it`;
}

function placeOf({ topic, partition }: Pick<CommitRow, 'topic' | 'partition'>): { topic?: string; partition: number } {
  return topic === undefined ? { partition } : { topic, partition };
}
