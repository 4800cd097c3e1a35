/**
 * Every setting and every limit of the broker in one table: name, kind, unit, default, bounds, reason. The schema, the
 * flags, the environment variables, `--help` and `docs/configuration.md` are all made from it.
 */
import { z } from 'zod';
import { PARTITIONS_MAX } from './domain/topic.ts';

interface SettingText {
  /** Shown by `--help` and in the docs; one sentence. */
  readonly text: string;
  /** Why the default is what it is. */
  readonly reason: string;
}
export interface NumberSetting extends SettingText {
  readonly kind: 'number';
  readonly unit: 'ms' | 'bytes' | 'count' | 'port';
  readonly default: number;
  readonly min: number;
  readonly max: number;
}
export interface TextSetting extends SettingText {
  readonly kind: 'text';
  /** Where the default is not empty, an empty text is refused. */
  readonly default: string;
  /** Never shown in a message, a log or a status. */
  readonly secret?: true;
}
export interface ListSetting extends SettingText {
  readonly kind: 'list';
  readonly default: readonly string[];
}
export interface SwitchSetting extends SettingText {
  readonly kind: 'switch';
  readonly default: boolean;
}
export interface ChoiceSetting extends SettingText {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly default: string;
}
export type Setting = NumberSetting | TextSetting | ListSetting | SwitchSetting | ChoiceSetting;

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

function count(value: number, min: number, max: number, text: string, reason: string): NumberSetting {
  return { kind: 'number', unit: 'count', default: value, min, max, text, reason };
}
function bytes(value: number, min: number, max: number, text: string, reason: string): NumberSetting {
  return { kind: 'number', unit: 'bytes', default: value, min, max, text, reason };
}
function ms(value: number, min: number, max: number, text: string, reason: string): NumberSetting {
  return { kind: 'number', unit: 'ms', default: value, min, max, text, reason };
}
function port(value: number, text: string, reason: string): NumberSetting {
  return { kind: 'number', unit: 'port', default: value, min: 0, max: 65_535, text, reason };
}

export const settings = {
  host: {
    kind: 'text',
    default: '127.0.0.1',
    text: 'Address that clients connect to.',
    reason: 'Loopback until you say otherwise.',
  },
  port: port(7070, 'Port of the WebSocket endpoint; 0 takes a free one.', 'Unassigned and easy to remember.'),
  adminHost: {
    kind: 'text',
    default: '127.0.0.1',
    text: 'Address of the admin endpoint.',
    reason: 'It can stop the broker: loopback until you say otherwise.',
  },
  adminPort: port(7071, 'Port of health, status, stop and console; 0 takes a free one.', 'Beside the client port.'),
  data: {
    kind: 'text',
    default: './data',
    text: 'Data directory; a relative path counts from the working directory.',
    reason: 'Beside where it was started, so that a trial leaves nothing elsewhere.',
  },
  token: {
    kind: 'text',
    default: '',
    secret: true,
    text: 'Token that clients must give in `hello`; empty for none.',
    reason: 'Loopback needs none.',
  },
  adminToken: {
    kind: 'text',
    default: '',
    secret: true,
    text: 'Bearer token of the admin endpoint; needed when it is bound beyond loopback.',
    reason: 'Loopback needs none.',
  },
  inspectSend: {
    kind: 'switch',
    default: false,
    text: "Let viewers of the console send events to the broker's actors.",
    reason: 'An event by hand can end a shard; for building machines, not for running them.',
  },
  origins: {
    kind: 'list',
    default: [],
    text: 'Origins whose pages may connect, besides those on the same host; `*` for any.',
    reason: 'A page elsewhere must not reach a broker on your loopback.',
  },
  logLevel: {
    kind: 'choice',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    default: 'info',
    text: 'Least severe log line written.',
    reason: 'A line per start, stop, phase and fault; none per message.',
  },
  shards: count(
    4,
    1,
    256,
    'Shards of a new data directory; fixed when it is made.',
    'Enough to overlap their writes on a few cores.',
  ),
  partitions: count(
    4,
    1,
    PARTITIONS_MAX,
    'Partitions of a topic created without saying how many.',
    'One for each default shard.',
  ),
  autoCreate: {
    kind: 'switch',
    default: true,
    text: 'Create a topic on its first publish.',
    reason: 'So that the first command works.',
  },
  durability: {
    kind: 'choice',
    choices: ['sync', 'async'],
    default: 'sync',
    text: 'Durability of a topic created without saying which.',
    reason: 'What was acknowledged is kept.',
  },
  flushMs: ms(
    20,
    1,
    60 * SECOND,
    'Longest time that an acknowledged record of an async topic waits for the disk.',
    'The most that a crash may cost.',
  ),
  flushBytes: bytes(
    1 * MiB,
    1 * KiB,
    64 * MiB,
    'Unflushed bytes of async topics per shard that start a write at once.',
    'One group.',
  ),
  segmentBytes: bytes(
    64 * MiB,
    64 * KiB,
    2 * GiB,
    'Size at which a log segment is closed and the next begun.',
    'Small enough to drop in one step, large enough to be few.',
  ),
  groupBytes: bytes(
    1 * MiB,
    4 * KiB,
    64 * MiB,
    'Most bytes written and synced as one group.',
    'Larger groups wait longer than they gain.',
  ),
  shardQueueBytes: bytes(
    16 * MiB,
    64 * KiB,
    1 * GiB,
    'Bytes admitted by a shard and not yet on disk at which sockets that publish to it are paused.',
    'Some groups ahead of the disk.',
  ),
  reserveBytes: bytes(
    20 * MiB,
    0,
    4 * GiB,
    'Disk space per shard kept back for what was admitted before the disk was full.',
    'A shard queue and a few groups.',
  ),
  diskLowBytes: bytes(
    64 * MiB,
    0,
    1024 * GiB,
    'Free disk space under which publishes are refused as DISK_FULL.',
    'Before the disk is full, not after.',
  ),
  diskCheckMs: ms(
    1 * SECOND,
    10,
    HOUR,
    'Time between looks at the free disk space.',
    'A disk fills in seconds at worst.',
  ),
  checkpointBytes: bytes(
    64 * MiB,
    64 * KiB,
    4 * GiB,
    'Log bytes after which a shard saves its derived state.',
    'Bounds the replay after a crash to well under a second.',
  ),
  recentBytes: bytes(
    16 * MiB,
    64 * KiB,
    4 * GiB,
    'Memory per shard for recent batches, from which consumers at the tail are served.',
    'Some seconds of a busy shard.',
  ),
  producersMax: count(
    100_000,
    1,
    10_000_000,
    'Producers remembered per shard; the longest idle is forgotten first.',
    'About 200 bytes each when idle.',
  ),
  producerExpiryMs: ms(
    7 * DAY,
    60 * SECOND,
    365 * DAY,
    'Idle time after which a producer may be forgotten.',
    'Longer than any sensible retry.',
  ),
  frameBytes: bytes(
    1 * MiB,
    1 * KiB,
    64 * MiB,
    'Largest frame taken from a client.',
    'The `ws` default of 100 MiB invites exhaustion.',
  ),
  inFlightBytes: bytes(
    8 * MiB,
    64 * KiB,
    1 * GiB,
    'Unanswered publish bytes of one connection at which its socket is paused.',
    'Several full frames.',
  ),
  inFlightBytesTotal: bytes(
    256 * MiB,
    1 * MiB,
    64 * GiB,
    'Unanswered publish bytes of all connections at which publishers are paused.',
    'The cap on memory for writes.',
  ),
  inFlightPublishes: count(
    1024,
    1,
    1024,
    'Unanswered publishes of one connection at which its socket is paused.',
    'As many are remembered per producer and partition for a resend.',
  ),
  connectionsMax: count(20_000, 1, 1_000_000, 'Connections served at a time.', 'Under the usual descriptor limits.'),
  subscriptionsMax: count(256, 1, 65_536, 'Subscriptions of one connection.', 'A page rarely needs ten.'),
  topicsMax: count(100_000, 1, 10_000_000, 'Topics in all.', 'About a kilobyte of memory each.'),
  creditMax: count(
    1_000_000,
    1,
    1_000_000_000,
    'Largest credit of one subscription, records.',
    'The log is the buffer; the socket mark bounds memory.',
  ),
  groupsMax: count(10_000, 1, 10_000_000, 'Consumer groups known in all.', 'About a kilobyte of memory each.'),
  groupMembersMax: count(1_000, 1, 100_000, 'Members of one group.', 'More than a group has partitions.'),
  groupSettleMs: ms(100, 0, HOUR, 'Time that a new group waits for company.', 'Members started together.'),
  groupGraceMs: ms(10 * SECOND, 0, HOUR, 'Time for a member to come back to what it had.', 'A quick reconnect.'),
  groupSilenceMs: ms(10 * SECOND, 300, HOUR, 'Silence after which a member is given up.', 'Pings tell in time.'),
  groupRevokeMs: ms(10 * SECOND, 0, HOUR, 'Time to give back a partition that moves.', 'Work in hand, and a commit.'),
  groupRejoinMs: ms(30 * SECOND, 0, HOUR, 'Wait for members behind a restart.', 'As far as returns are spread.'),
  socketBufferBytes: bytes(
    1 * MiB,
    16 * KiB,
    1 * GiB,
    'Unsent bytes of one connection at which deliveries to it wait.',
    'All that a slow consumer may cost.',
  ),
  slowConsumerMs: ms(
    30 * SECOND,
    100,
    HOUR,
    'Time without progress at that mark after which the connection is cut with 4100.',
    'Longer than a stall, shorter than a leak.',
  ),
  pingMs: ms(
    20 * SECOND,
    100,
    HOUR,
    'Time between pings to a quiet connection.',
    'Under the idle limits of common proxies.',
  ),
  pingTimeoutMs: ms(
    20 * SECOND,
    100,
    HOUR,
    'Time to answer a ping before the connection is taken for dead.',
    'A throttled tab answers at once: the browser does it.',
  ),
  helloTimeoutMs: ms(
    10 * SECOND,
    100,
    HOUR,
    'Time for the upgrade, and for `hello` where a token is required.',
    'A human with wscat can paste in time.',
  ),
  gracePeriodMs: ms(
    30 * SECOND,
    1 * SECOND,
    HOUR,
    'What the orchestrator grants between SIGTERM and SIGKILL; every deadline of the shutdown is derived from it.',
    'The default of Kubernetes.',
  ),
  preStopMs: ms(0, 0, HOUR, 'Part of the grace period that a preStop hook uses up before the signal.', 'No hook.'),
  announceMs: ms(
    0,
    0,
    HOUR,
    'Time between turning unready and draining; 5000 suits an orchestrator.',
    'Nothing routes to a single machine.',
  ),
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

type ValueOf<S extends Setting> = S extends NumberSetting
  ? number
  : S extends SwitchSetting
    ? boolean
    : S extends ListSetting
      ? readonly string[]
      : S extends { readonly choices: readonly (infer C)[] }
        ? C
        : string;

export type Config = { readonly [N in SettingName]: ValueOf<(typeof settings)[N]> };

/** All defaults. */
export const defaults = Object.fromEntries(
  Object.entries(settings).map(([name, setting]) => [name, setting.default]),
) as unknown as Config;

function schemaOf(setting: Setting): z.ZodType {
  switch (setting.kind) {
    case 'number':
      return z.number().int().min(setting.min).max(setting.max).default(setting.default);
    case 'text':
      return (setting.default === '' ? z.string() : z.string().min(1)).default(setting.default);
    case 'list':
      return z.array(z.string()).default([...setting.default]);
    case 'switch':
      return z.boolean().default(setting.default);
    case 'choice':
      return z.enum(setting.choices as [string, ...string[]]).default(setting.default);
  }
}

/** The one schema: unknown names are refused, absent ones take their default. */
export const configSchema = z.strictObject(
  Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, schemaOf(setting)])),
) as unknown as z.ZodType<Config>;
