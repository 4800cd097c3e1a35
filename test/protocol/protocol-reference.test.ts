/** `docs/protocol.md` says what the code does: its tables, its examples, its bytes and its numbers. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { defaults, settings } from '../../src/config.ts';
import { murmur2 } from '../../src/domain/partition.ts';
import { encodeBatch, HEADERS_BYTES_MAX, KEY_BYTES_MAX } from '../../src/domain/record-batch.ts';
import { PARTITIONS_MAX, TOPIC_NAME_LENGTH_MAX } from '../../src/domain/topic.ts';
import { errorTable } from '../../src/errors.ts';
import { closeCodeTable } from '../../src/protocol/close-code.ts';
import {
  CLIENT_LENGTH_MAX,
  CREDIT_DEFAULT,
  ID_LENGTH_MAX,
  PRODUCER_LENGTH_MAX,
  parseTextCommand,
  RECORDS_MAX,
  TOKEN_LENGTH_MAX,
} from '../../src/protocol/command-parser.ts';
import type { Command } from '../../src/protocol/commands.ts';
import { FRAME_HEADER_BYTES_MAX } from '../../src/protocol/frame.ts';
import type { Reply } from '../../src/protocol/replies.ts';

const text = readFileSync(fileURLToPath(new URL('../../docs/protocol.md', import.meta.url)), 'utf8');
const lines = text.split('\n');

/** Complete by its type: an op that is added and not here does not compile. */
const commandOps = Object.keys({
  hello: 0,
  create: 0,
  describe: 0,
  delete: 0,
  topics: 0,
  publish: 0,
  producer: 0,
  subscribe: 0,
  credit: 0,
  commit: 0,
  join: 0,
  release: 0,
  leave: 0,
  groups: 0,
  lag: 0,
  unsubscribe: 0,
  ping: 0,
} satisfies Record<Command['op'], 0>);
const replyOps = Object.keys({
  welcome: 0,
  created: 0,
  described: 0,
  deleted: 0,
  topics: 0,
  published: 0,
  subscribed: 0,
  records: 0,
  gap: 0,
  committed: 0,
  joined: 0,
  assigned: 0,
  revoke: 0,
  revoked: 0,
  released: 0,
  left: 0,
  groups: 0,
  lag: 0,
  unsubscribed: 0,
  producer: 0,
  pong: 0,
  goaway: 0,
  error: 0,
} satisfies Record<Reply['op'], 0>);

/** The lines of a section, up to the next heading of its level. */
function section(heading: string): string[] {
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`docs/protocol.md has no ${heading}`);
  const level = heading.slice(0, heading.indexOf(' ') + 1);
  const end = lines.findIndex((line, at) => at > start && line.startsWith(level));
  return lines.slice(start + 1, end < 0 ? undefined : end);
}

/** The rows of the first table of a section, header left out. */
function rowsOf(heading: string): string[] {
  const table =
    section(heading)
      .join('\n')
      .split('\n\n')
      .find((block) => block.startsWith('|')) ?? '';
  return table.trim().split('\n').slice(2);
}

/** The lines of the one block fenced as `language`. */
function block(language: string): string[] {
  const start = lines.indexOf(`\`\`\`${language}`);
  return lines.slice(start + 1, lines.indexOf('```', start));
}

function examples(arrow: '→' | '←'): string[] {
  return lines.filter((line) => line.startsWith(`${arrow} `)).map((line) => line.slice(2));
}

describe('the protocol reference', () => {
  it('has the error table', () => {
    const expected = Object.entries(errorTable)
      .filter(([, row]) => row.where === 'wire')
      .map(([code, { retryable, closeCode, meaning }]) => {
        return `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${closeCode ?? ''} | ${meaning} |`;
      });
    expect(rowsOf('## Errors')).toEqual(expected);
  });

  it('has the table of close codes', () => {
    const expected = Object.entries(closeCodeTable).map(([code, { comeBack, meaning }]) => {
      return `| ${code} | ${comeBack ? 'yes' : 'no'} | ${meaning} |`;
    });
    expect(rowsOf('## Close codes')).toEqual(expected);
  });

  it.each(commandOps)('has a section and an example of the command %s, which is taken', (op) => {
    const sent = section(`### ${op}`).filter((line) => line.startsWith('→ '));
    expect(sent.length).toBeGreaterThan(0);
    for (const line of sent) expect(parseTextCommand(line.slice(2)).command?.op).toBe(op);
  });

  it('has an example of every reply, and none of another', () => {
    const shown = examples('←').map((line) => (JSON.parse(line) as { op: string }).op);
    expect([...new Set(shown)].sort()).toEqual([...replyOps].sort());
  });

  it('gives only error codes that exist', () => {
    const mentioned = [...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map((match) => match[1] as string);
    expect(mentioned.length).toBeGreaterThan(30);
    expect(mentioned.filter((code) => !Object.hasOwn(errorTable, code))).toEqual([]);
  });

  it('links only to sections that it has', () => {
    const anchors = new Set(
      lines
        .filter((line) => line.startsWith('#'))
        .map((line) =>
          line
            .replace(/^#+ /, '')
            .toLowerCase()
            .replace(/[^a-z0-9 -]/g, '')
            .replaceAll(' ', '-'),
        ),
    );
    const links = [...text.matchAll(/\]\(#([^)]+)\)/g)].map((match) => match[1] as string);
    expect(links.length).toBeGreaterThan(15);
    expect(links.filter((link) => !anchors.has(link))).toEqual([]);
  });

  it('has a session whose lines are commands, or refused as it shows', () => {
    const session = block('wscat');
    expect(session[0]).toMatch(/^< \{"op":"welcome",/);
    session.forEach((line, at) => {
      expect(line).toMatch(/^[<>] \{.*\}$/);
      if (!line.startsWith('> ')) return;
      const { fault } = parseTextCommand(line.slice(2));
      if (fault === undefined) return;
      const answer = JSON.parse((session[at + 1] ?? '').slice(2)) as { code: string; message: string };
      expect(answer).toMatchObject({ op: 'error', code: fault.code, message: fault.message });
    });
  });

  it('has a batch that is one', () => {
    const none = { headers: null };
    const batch = encodeBatch([
      { ...none, key: Buffer.from('k1'), value: Buffer.from('{"n":1}'), encoding: 'json' },
      { ...none, key: Buffer.from('k2'), value: null, encoding: 'bytes' },
    ]);
    expect(block('batch').join('').replaceAll(' ', '')).toBe(Buffer.from(batch).toString('hex'));
  });

  it('has hashes that are those of the keys', () => {
    const rows = text.matchAll(/^\| `([^`]+)` \| (−?\d{9,}) \|$/gm);
    const hashes = [...rows].map(([, key, hash]) => [key, Number((hash as string).replace('−', '-'))]);
    expect(hashes).toHaveLength(4);
    for (const [key, hash] of hashes) expect(murmur2(Buffer.from(key as string))).toBe(hash);
  });

  const grouped = (value: number): string => value.toLocaleString('en');
  it.each([
    ['the longest id', `at most ${ID_LENGTH_MAX} characters`],
    ['the longest token', `| \`token\` | text, at most ${grouped(TOKEN_LENGTH_MAX)} characters |`],
    ['the longest client name', `| \`client\` | text, at most ${CLIENT_LENGTH_MAX} characters |`],
    ['the longest producer id', `| \`producer\` | text, 1–${PRODUCER_LENGTH_MAX} printable`],
    ['the longest topic name', `1–${TOPIC_NAME_LENGTH_MAX} characters of`],
    ['the most partitions', `integer, 1–${PARTITIONS_MAX} | setting \`partitions\` (${defaults.partitions})`],
    ['the most records', `array of 1–${grouped(RECORDS_MAX)} objects`],
    [
      'the default credit',
      `| integer, 1 to the setting \`creditMax\` (${grouped(defaults.creditMax)}) | ${CREDIT_DEFAULT} |`,
    ],
    ['the largest key', `at most ${grouped(KEY_BYTES_MAX)} bytes`],
    ['the largest headers', `at most ${grouped(HEADERS_BYTES_MAX)} bytes as JSON`],
    ['the largest frame header', `length H of the header; at most ${grouped(FRAME_HEADER_BYTES_MAX)}`],
    ['the largest frame', `| \`limits.frameBytes\` | ${defaults.frameBytes / 1024 ** 2} MiB |`],
    [
      'the publishes in flight',
      `| ${grouped(defaults.inFlightPublishes)}, ${defaults.inFlightBytes / 1024 ** 2} MiB | the socket is paused |`,
    ],
    ['the publishes remembered', `The last ${grouped(settings.inFlightPublishes.max)} publishes of a producer`],
    ['the subscriptions', `| \`limits.subscriptions\` | ${defaults.subscriptionsMax} |`],
    ['the topics', `| \`limits.topics\` | ${grouped(defaults.topicsMax)} |`],
    ['the connections', `| connections | | ${grouped(defaults.connectionsMax)} | 503 |`],
    ['the time between pings', `quiet for \`pingMs\` (${defaults.pingMs / 1000} s)`],
    ['the time for a pong', `within \`pingTimeoutMs\` (${defaults.pingTimeoutMs / 1000} s)`],
    ['the time for hello', `within \`helloTimeoutMs\` (${defaults.helloTimeoutMs / 1000} s)`],
    ['the socket buffer', `\`socketBufferBytes\` (${defaults.socketBufferBytes / 1024 ** 2} MiB)`],
    ['the time of a slow consumer', `\`slowConsumerMs\` (${defaults.slowConsumerMs / 1000} s)`],
    ['the memory of a producer', `\`producerExpiryMs\` (${defaults.producerExpiryMs / 86_400_000} days)`],
  ])('has the number of %s', (_, part) => {
    expect(text.replaceAll(/\s+/g, ' ')).toContain(part);
  });
});
