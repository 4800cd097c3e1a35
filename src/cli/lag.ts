/** `sluice lag`: how far consumer groups are behind, once or again and again. */

import { groupLag, listGroups, type PartitionLag } from '../client/groups.ts';
import type { Client } from '../client/index.ts';
import { topicNameFault } from '../domain/topic.ts';
import { parseArguments, usageFailure } from './arguments.ts';
import { connectBroker, connectionFlags } from './broker-connection.ts';
import type { Arguments, Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { EXIT_OK } from './failure.ts';
import { roughBytes, roughMs, tableText } from './table.ts';
import type { Terminal } from './terminal.ts';

const flags = {
  watch: { kind: 'switch', text: 'Again and again, until Ctrl-C.' },
  every: {
    kind: 'number',
    unit: 'ms',
    min: 100,
    max: 86_400_000,
    default: 2000,
    text: 'Time between two looks of --watch.',
    reason: 'often enough to see it drain',
  },
  json: { kind: 'switch', text: 'Print JSON: a line for each partition.' },
  ...connectionFlags,
} as const satisfies Flags;

type LagFlags = Arguments<typeof flags>['flags'];

/** Clears a terminal and goes to its upper left corner. */
const CLEAR = '\u001b[2J\u001b[H';

export const lag: Command = {
  name: 'lag',
  summary: 'show how far consumer groups are behind',
  forms: ['[<group>]'],
  about: [
    'For each partition that the group has committed on or that its members asked for: the records that are durable and not ' +
      'committed, about how many bytes they are, and how old the first of them is. Without a group: a line for each that has or ' +
      'had members.',
  ],
  flags,
  exits: commonExits,
  examples: ['sluice lag', 'sluice lag billing --watch', 'sluice lag billing --json'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('lag', flags, { required: [], more: 1 }, argv, terminal.environment);
    const [group] = parsed.positionals;
    const fault = group === undefined ? null : topicNameFault(group);
    if (fault !== null) throw usageFailure('lag', [fault.replace('topic', 'group')]);
    const interrupts = terminal.interrupts();
    const client = await connectBroker(parsed.flags, terminal, interrupts.first);
    try {
      await show(client, group, parsed.flags, terminal, interrupts.first);
    } finally {
      await client.close();
      interrupts.release();
    }
    return EXIT_OK;
  },
};

async function show(
  client: Client,
  group: string | undefined,
  given: LagFlags,
  terminal: Terminal,
  stop: AbortSignal,
): Promise<void> {
  for (;;) {
    const text =
      group === undefined ? await lagOfAll(client, given) : lagText(group, await groupLag(client, group), given);
    const redraws = given.watch && !given.json && terminal.progressStream !== null;
    terminal.stdout.write(`${redraws ? CLEAR : ''}${text}`);
    await terminal.stdout.flush();
    if (!given.watch || stop.aborted || terminal.stdout.gone.aborted) return;
    // Stopped while it waits: the ordinary end of a watch.
    await terminal.sleep(given.every, stop).catch(() => {});
    if (stop.aborted || terminal.stdout.gone.aborted) return;
  }
}

async function lagOfAll(client: Client, given: LagFlags): Promise<string> {
  const lags: [string, readonly PartitionLag[]][] = [];
  for (const { group } of await listGroups(client)) lags.push([group, await groupLag(client, group)]);
  if (given.json) return lags.map(([group, rows]) => lagText(group, rows, given)).join('');
  return tableText(
    ['group', 'partitions', 'behind', 'records', 'bytes', 'oldest'],
    lags.map(([group, rows]) => [
      group,
      rows.length,
      rows.filter(({ records }) => records > 0).length,
      rows.reduce((sum, { records }) => sum + records, 0),
      roughBytes(rows.reduce((sum, { bytes }) => sum + bytes, 0)),
      roughMs(Math.max(0, ...rows.map(({ ms }) => ms))),
    ]),
  );
}

function lagText(group: string, rows: readonly PartitionLag[], given: LagFlags): string {
  if (given.json) return rows.map((row) => `${JSON.stringify({ group, ...row })}\n`).join('');
  return tableText(
    ['topic', 'partition', 'member', 'committed', 'high watermark', 'records', 'bytes', 'oldest'],
    rows.map(({ topic, partition, member, committed, highWatermark, records, bytes, ms }) => [
      topic,
      partition,
      member,
      committed,
      highWatermark,
      records,
      roughBytes(bytes),
      records === 0 ? null : roughMs(ms),
    ]),
  );
}
