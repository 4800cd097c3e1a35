/** `sluice groups`: the consumer groups of a broker, and their members. */
import { listGroups } from '../client/groups.ts';
import type { GroupReply } from '../protocol/replies.ts';
import { parseArguments } from './arguments.ts';
import { connectBroker, connectionFlags } from './broker-connection.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { CommandFailure, EXIT_OK } from './failure.ts';
import { tableText } from './table.ts';

const flags = {
  json: { kind: 'switch', text: 'Print JSON: a line for each group.' },
  ...connectionFlags,
} as const satisfies Flags;

export const groups: Command = {
  name: 'groups',
  summary: 'list consumer groups, or show the members of one',
  forms: ['[<group>]'],
  about: [
    'Groups that have or had members; one that was only committed under is shown by `sluice lag <group>`. A group is empty, ' +
      'preparing (it waits for members), stable, or revoking (some partition has yet to be given back).',
  ],
  flags,
  exits: commonExits,
  examples: ['sluice groups', 'sluice groups billing', 'sluice groups --json'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('groups', flags, { required: [], more: 1 }, argv, terminal.environment);
    const [name] = parsed.positionals;
    const client = await connectBroker(parsed.flags, terminal, new AbortController().signal);
    try {
      const all = await listGroups(client);
      const shown = name === undefined ? all : all.filter(({ group }) => group === name);
      if (name !== undefined && shown.length === 0) {
        throw new CommandFailure('UNKNOWN_GROUP', `no group ${JSON.stringify(name)} has or had members`);
      }
      if (parsed.flags.json) terminal.stdout.write(shown.map((group) => `${JSON.stringify(group)}\n`).join(''));
      else terminal.stdout.write(name === undefined ? groupTable(shown) : shown.map(groupText).join(''));
    } finally {
      await client.close();
    }
    return EXIT_OK;
  },
};

function groupTable(rows: readonly GroupReply[]): string {
  return tableText(
    ['group', 'state', 'generation', 'members', 'present', 'partitions', 'rebalances'],
    rows.map(({ group, state, generation, members, rebalances }) => [
      group,
      state,
      generation,
      members.length,
      members.filter(({ present }) => present).length,
      members.reduce((sum, { partitions }) => sum + partitions, 0),
      rebalances,
    ]),
  );
}

function groupText(group: GroupReply): string {
  const members = tableText(
    ['member', 'present', 'partitions', 'topics'],
    group.members.map(({ member, present, partitions, topics }) => [
      member,
      present ? 'yes' : 'no',
      partitions,
      topics.join(' '),
    ]),
  );
  return `${groupTable([group])}\n${members}`;
}
