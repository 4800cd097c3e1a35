/**
 * The settings as a reference: the sections of `sluice serve --help` and the text of `docs/configuration.md`, which a
 * test holds equal to what this writes.
 */
import type { SettingName } from './config.ts';
import { settings } from './config.ts';
import { flagOf, variableOf } from './config-name.ts';
import { defaultText, expectedOf } from './config-value.ts';

export interface SettingSection {
  readonly title: string;
  readonly names: readonly SettingName[];
}

/** Every setting once, in the order in which somebody sets up a broker. */
export const settingSections: readonly SettingSection[] = [
  {
    title: 'Where it is',
    names: [
      'host',
      'port',
      'adminHost',
      'adminPort',
      'data',
      'token',
      'adminToken',
      'inspectSend',
      'origins',
      'logLevel',
    ],
  },
  { title: 'Topics', names: ['shards', 'partitions', 'autoCreate', 'durability', 'flushMs', 'flushBytes'] },
  {
    title: 'Storage',
    names: [
      'segmentBytes',
      'groupBytes',
      'shardQueueBytes',
      'reserveBytes',
      'diskLowBytes',
      'diskCheckMs',
      'checkpointBytes',
      'recentBytes',
      'producersMax',
      'producerExpiryMs',
    ],
  },
  {
    title: 'Limits of clients',
    names: [
      'frameBytes',
      'inFlightBytes',
      'inFlightBytesTotal',
      'inFlightPublishes',
      'connectionsMax',
      'subscriptionsMax',
      'topicsMax',
      'creditMax',
      'socketBufferBytes',
    ],
  },
  {
    title: 'Consumer groups',
    names: [
      'groupsMax',
      'groupMembersMax',
      'groupSettleMs',
      'groupGraceMs',
      'groupSilenceMs',
      'groupRevokeMs',
      'groupRejoinMs',
    ],
  },
  { title: 'Liveness', names: ['slowConsumerMs', 'pingMs', 'pingTimeoutMs', 'helloTimeoutMs'] },
  { title: 'Shutdown', names: ['gracePeriodMs', 'preStopMs', 'announceMs'] },
];

/** `docs/configuration.md`. */
export function configurationReference(): string {
  const parts = [preface];
  for (const section of settingSections) {
    parts.push(`## ${section.title}\n`);
    for (const name of section.names) parts.push(settingEntry(name));
  }
  return parts.join('\n');
}

function settingEntry(name: SettingName): string {
  const setting = settings[name];
  const text = defaultText(setting);
  return [
    `### \`${name}\`\n`,
    `${setting.text}\n`,
    `| flag | variable | default | takes |`,
    `|---|---|---|---|`,
    `| \`${flagOf(name)}\` | \`${variableOf(name)}\` | ${text === '' ? 'empty' : `\`${text}\``} | ${expectedOf(setting)} |\n`,
    `Why: ${setting.reason}\n`,
  ].join('\n');
}

const preface = `# Configuration

Written from the table in \`src/config.ts\`; a test holds the two equal. \`sluice serve --help\` says the same.

A setting may be given in three places; a later one wins:

1. a JSON file, named by \`--config FILE\` or \`SLUICE_CONFIG\`: \`{ "port": 7070, "segmentBytes": "64MiB" }\`
2. the environment: \`SLUICE_PORT=7070\`
3. a flag: \`--port 7070\` or \`--port=7070\`

Forms of a value, the same in all three:

- **Sizes**: \`500KB\` (1000 bytes each), \`64MiB\`, \`1GiB\` (1024), or a bare number of bytes.
- **Durations**: \`250ms\`, \`20s\`, \`5m\`, \`12h\`, \`7d\`, or a bare number of milliseconds.
- **Switches**: \`--auto-create\`, \`--no-auto-create\`, \`--auto-create=false\`; in a variable \`true\`, \`false\`, \`1\`, \`0\`, \`yes\`,
  \`no\`, \`on\` or \`off\`.
- **Lists**: separated by commas; a flag may also be repeated; in a file a JSON array.

Everything is checked before the broker starts: each name, each value, and the bounds that settings set each other. All
faults are told at once, each with the place where it stands, what was given and what would be right; the broker then
exits with 1 (\`CONFIG_INVALID\`). An unknown name is a fault in all three places, so that a typing error is never a
silent default. Variables that Kubernetes makes for a service called \`sluice\` (\`SLUICE_SERVICE_HOST\`,
\`SLUICE_PORT=tcp://…\`) are recognised and left alone.

Give tokens by the environment or the file rather than by a flag: other users of a machine can read the flags of a
running process.
`;
