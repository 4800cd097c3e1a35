/** `sluice topics`: lists, makes, describes and deletes topics. */
import type { Client } from '../client/index.ts';
import { formatBytes, formatMs } from '../config-quantity.ts';
import { PARTITIONS_MAX, topicNameFault } from '../domain/topic.ts';
import { didYouMean } from '../nearest-name.ts';
import type { Described, TopicReply } from '../protocol/replies.ts';
import { parseArguments, usageFailure } from './arguments.ts';
import { connectBroker, connectionFlags } from './broker-connection.ts';
import type { Arguments, Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { EXIT_OK } from './failure.ts';
import { tableText } from './table.ts';
import type { Terminal } from './terminal.ts';

const flags = {
  partitions: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: PARTITIONS_MAX,
    text: "create: number of partitions. The broker's `partitions` setting where it is not given.",
  },
  durability: {
    kind: 'choice',
    choices: ['sync', 'async'],
    text: "create: `sync` acknowledges what is on disk, `async` from memory. The broker's `durability` setting where it is not given.",
  },
  'retention-ms': {
    kind: 'number',
    unit: 'ms',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    text: 'create: age at which records may go. They stay where it is not given.',
  },
  'retention-bytes': {
    kind: 'number',
    unit: 'bytes',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    text: 'create: size of a partition above which its oldest records may go. They stay where it is not given.',
  },
  json: { kind: 'switch', text: 'Print JSON: a line for each topic.' },
  ...connectionFlags,
} as const satisfies Flags;

type TopicFlags = Arguments<typeof flags>['flags'];

const actions: Readonly<Record<string, (client: Client, topic: string, given: TopicFlags) => Promise<string>>> = {
  list: async (client, _, given) => {
    const topics = await client.topics();
    const sorted = [...topics].sort((a, b) => (a.topic < b.topic ? -1 : 1));
    return given.json ? sorted.map((topic) => `${JSON.stringify(topic)}\n`).join('') : topicTable(sorted);
  },
  create: async (client, topic, given) => {
    const { partitions, durability } = given;
    const retention = retentionOf(given);
    const made = await client.createTopic(topic, {
      ...(partitions === undefined ? {} : { partitions }),
      ...(durability === undefined ? {} : { durability }),
      ...(retention === null ? {} : { retention }),
    });
    return given.json ? `${JSON.stringify(topicFields(made))}\n` : topicTable([made]);
  },
  describe: async (client, topic, given) => {
    const described = await client.describe(topic);
    if (given.json) return `${JSON.stringify({ ...topicFields(described), state: described.state })}\n`;
    return `${topicTable([described])}\n${stateTable(described)}`;
  },
  delete: async (client, topic) => {
    await client.deleteTopic(topic);
    return `deleted ${topic}\n`;
  },
};

export const topics: Command = {
  name: 'topics',
  summary: 'list, create, describe or delete topics',
  forms: ['[list]', 'create <topic> [flags]', 'describe <topic>', 'delete <topic>'],
  about: [
    'A topic that exists already with the same settings is created again without an error. Deleting a topic deletes its records ' +
      'for good; it does not ask back.',
  ],
  flags,
  exits: commonExits,
  examples: [
    'sluice topics',
    'sluice topics create orders --partitions 8 --retention-ms 7d',
    'sluice topics describe orders --json',
  ],
  run: async (argv, terminal) => {
    const parsed = parseArguments('topics', flags, { required: [], more: 2 }, argv, terminal.environment);
    const [action = 'list', topic = ''] = parsed.positionals;
    const act = checkUsage(action, parsed.positionals, parsed.flags);
    terminal.stdout.write(await withClient(parsed.flags, terminal, (client) => act(client, topic, parsed.flags)));
    return EXIT_OK;
  },
};

async function withClient<T>(given: TopicFlags, terminal: Terminal, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectBroker(given, terminal, new AbortController().signal);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

function checkUsage(action: string, positionals: readonly string[], given: TopicFlags) {
  const act = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (act === undefined) {
    const known = Object.keys(actions);
    throw usageFailure('topics', [
      `${JSON.stringify(action)}: expected one of ${known.join(', ')}${didYouMean(action, known)}`,
    ]);
  }
  const faults: string[] = [];
  const topicFault = action === 'list' ? null : topicNameFault(positionals[1] ?? '');
  if (topicFault !== null) faults.push(positionals[1] === undefined ? `${action}: <topic> is missing` : topicFault);
  if (action === 'list' && positionals.length > 1)
    faults.push(`${JSON.stringify(positionals[1])}: list takes no topic`);
  if (action !== 'create') {
    for (const name of ['partitions', 'durability', 'retention-ms', 'retention-bytes'] as const) {
      if (given[name] !== undefined) faults.push(`--${name} goes with create, not with ${action}`);
    }
  }
  if (faults.length > 0) throw usageFailure('topics', faults);
  return act;
}

function retentionOf(given: TopicFlags): { ms: number | null; bytes: number | null } | null {
  const ms = given['retention-ms'] ?? null;
  const bytes = given['retention-bytes'] ?? null;
  return ms === null && bytes === null ? null : { ms, bytes };
}

function topicFields({ topic, partitions, durability, retention }: TopicReply): TopicReply {
  return { topic, partitions, durability, retention };
}

function topicTable(rows: readonly TopicReply[]): string {
  return tableText(
    ['topic', 'partitions', 'durability', 'kept for', 'kept up to'],
    rows.map(({ topic, partitions, durability, retention }) => [
      topic,
      partitions,
      durability,
      retention.ms === null ? 'ever' : formatMs(retention.ms),
      retention.bytes === null ? 'any size' : formatBytes(retention.bytes),
    ]),
  );
}

function stateTable(described: Described): string {
  return tableText(
    ['partition', 'epoch', 'start', 'high watermark', 'offsets held'],
    described.state.map(({ partition, epoch, start, highWatermark }) => [
      partition,
      epoch,
      start,
      highWatermark,
      highWatermark - start,
    ]),
  );
}
