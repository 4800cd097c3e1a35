import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '../../src/cli/registry.ts';
import { partitionOfKey } from '../../src/domain/partition.ts';
import { FakeBroker } from './fake-broker.ts';
import { type FakeTerminalOptions, fakeTerminal } from './fake-terminal.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-publish-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

function start(broker: FakeBroker, argv: readonly string[], given: FakeTerminalOptions = {}) {
  const terminal = fakeTerminal({ WebSocket: broker.WebSocket, ...given });
  const ended = runCommandLine(['publish', ...argv], terminal).then(async (code) => {
    await terminal.stdout.finish();
    await terminal.stderr.finish();
    return { code, err: terminal.err.bytes.toString(), out: terminal.out.bytes.toString() };
  });
  return { terminal, ended };
}

const run = (broker: FakeBroker, argv: readonly string[], given: FakeTerminalOptions = {}) =>
  start(broker, argv, given).ended;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

describe('sluice publish', () => {
  it('stores every line of standard input in order, and says so on standard error alone', async () => {
    const broker = new FakeBroker();
    const stdin = [Buffer.from('a\n\nb'), Buffer.from('c\nlast')];
    const { code, err, out } = await run(broker, ['t', '--partitions', '1'], { stdin });
    expect([code, out]).toEqual([0, '']);
    expect(broker.values('t', 0)).toEqual(['a', '', 'bc', 'last']);
    expect(err).toMatch(/^published 4 records \(7 B\) to t in \d+ ms, .*\/s\n$/);
  });

  it('stores bytes that are not text as they are', async () => {
    const broker = new FakeBroker();
    await run(broker, ['t', '--partitions', '1'], { stdin: [Buffer.from([0xff, 10, 0xc3, 0xa9])] });
    const records = broker.topics.get('t')?.[0]?.map(({ record }) => record) ?? [];
    expect(records.map(({ value, encoding }) => [[...(value ?? [])], encoding])).toEqual([
      [[0xff], 'bytes'],
      [[0xc3, 0xa9], 'utf8'],
    ]);
  });

  it('keys by file, with headers', async () => {
    const broker = new FakeBroker();
    const path = await file('k', '1\n2\n');
    const { code } = await run(broker, ['t', path, '--key-from', 'file', '--header', 'a=b=c', '--partitions', '4']);
    expect(code).toBe(0);
    const partition = partitionOfKey(Buffer.from(path), 4);
    const [first] = broker.topics.get('t')?.[partition] ?? [];
    expect(String(Buffer.from(first?.record.key ?? []))).toBe(path);
    expect(String(Buffer.from(first?.record.headers ?? []))).toBe('{"a":"b=c"}');
    expect(broker.values('t', partition)).toEqual(['1', '2']);
  });

  it('reads the names of files from standard input', async () => {
    const broker = new FakeBroker();
    const paths = [await file('l1', 'one\n'), await file('l2', 'two\n')];
    const { code } = await run(broker, ['t', '-', '--files-from', '--partitions', '1'], {
      stdin: [Buffer.from(paths.join('\n'))],
    });
    expect(code).toBe(0);
    expect(broker.values('t', 0)).toEqual(['one', 'two']);
    expect((await run(broker, ['t', '--files-from'], { stdin: [] })).code).toBe(0);
    expect(broker.values('t', 0)).toHaveLength(2);
  });

  it('stores JSON strings as JSON and tombstones as such', async () => {
    const broker = new FakeBroker();
    const lines = '{"value":"text"}\n{"key":"k"}\n{"value":"x","encoding":"utf8","partition":0}\n';
    const stdin = [Buffer.from(lines)];
    const { code } = await run(broker, ['t', '--format', 'jsonl', '--partitions', '1'], { stdin });
    expect(code).toBe(0);
    const records = broker.topics.get('t')?.[0]?.map(({ record }) => record) ?? [];
    expect(
      records.map(({ value, encoding }) => (value === null ? null : [String(Buffer.from(value)), encoding])),
    ).toEqual(expect.arrayContaining([['"text"', 'json'], null, ['x', 'utf8']]));
  });

  it('names the first line that cannot be read; what precedes it is stored, nothing behind it', async () => {
    const broker = new FakeBroker();
    const path = await file('bad', '{"value":1}\n{oops\n{"value":3}\n');
    const { code, err } = await run(broker, ['t', path, '--format', 'jsonl', '--partitions', '1']);
    expect(code).toBe(1);
    expect(err).toMatch(/published 1 records.*\nsluice publish: BAD_INPUT: .*bad:2: not JSON in UTF-8/);
    expect(broker.values('t', 0)).toEqual(['1']);
  });

  it('refuses a record over the broker’s frame before it is sent', async () => {
    const broker = new FakeBroker();
    broker.frameBytes = 2048;
    const { code, err } = await run(broker, ['t', '--partitions', '1'], { stdin: [Buffer.alloc(2048, 'x')] });
    expect(code).toBe(1);
    expect(err).toMatch(/BAD_INPUT: standard input:1: line 1 has more than 1408 bytes/);
    expect(broker.values('t', 0)).toEqual([]);
  });

  it('ends with 1 and the place of the first record that the broker refused', async () => {
    const broker = new FakeBroker();
    broker.refuse = ({ value }) => (String(Buffer.from(value ?? [])) === 'b' ? 'LIMIT_EXCEEDED' : null);
    const stdin = [Buffer.from('a\n'), Buffer.from('b\n'), Buffer.from('c\n')];
    const { code, err } = await run(broker, ['t', '--partitions', '1'], { stdin });
    expect(code).toBe(1);
    expect(err).toMatch(/\d refused\nsluice publish: REFUSED: standard input:\d was refused: LIMIT_EXCEEDED: scripted/);
  });

  it('goes on after a lost connection and stores each record once', async () => {
    const broker = new FakeBroker();
    broker.holdAcks = true;
    const { ended } = start(broker, ['t', '--partitions', '1'], { stdin: [Buffer.from('a\nb\nc\n')] });
    await until(() => broker.values('t', 0).length === 3);
    broker.cut();
    broker.holdAcks = false;
    const { code, err } = await ended;
    expect(code).toBe(0);
    expect(broker.values('t', 0)).toEqual(['a', 'b', 'c']);
    expect(err).toMatch(
      /connection lost; trying again.*\nconnected again\npublished 3 .*; 3 sent again and stored once/,
    );
  });

  it('is UNREACHABLE when no broker answers in time', async () => {
    const broker = new FakeBroker();
    broker.dead = true;
    const { code, err } = await run(broker, ['t', '--connect-timeout', '50ms'], { stdin: [Buffer.from('a\n')] });
    expect(code).toBe(1);
    expect(err).toMatch(
      /^sluice publish: UNREACHABLE: no broker answered at ws:\/\/127\.0\.0\.1:7070\/v1 within 50ms: .*ECONNREFUSED/,
    );
  });
});

describe('a run of publish that was cut off', () => {
  const lines = Array.from({ length: 1000 }, (_, index) => `${index}`);
  const argv = ['t', '--partitions', '4', '--producer', 'p', '--resume'];

  it('is resumed without a record twice or left out', async () => {
    const broker = new FakeBroker();
    const input = (count: number) => [
      Buffer.from(
        lines
          .slice(0, count)
          .map((line) => `${line}\n`)
          .join(''),
      ),
    ];
    await run(broker, argv, { stdin: input(700) });
    // A kill leaves a prefix of each partition.
    for (const partition of broker.topics.get('t') ?? []) partition.splice(Math.ceil(partition.length / 2));
    const stored = [0, 1, 2, 3].reduce((sum, partition) => sum + broker.values('t', partition).length, 0);
    const { code, err } = await run(broker, argv, { stdin: input(1000) });
    expect(code).toBe(0);
    expect(err).toContain(`${stored} left out, stored before`);
    const all = [0, 1, 2, 3].map((partition) => broker.values('t', partition));
    expect(all.flat().sort()).toEqual([...lines].sort());
    for (const values of all) expect(values).toEqual([...values].sort((a, b) => Number(a) - Number(b)));
  });

  it('is not taken up by accident', async () => {
    const broker = new FakeBroker();
    await run(broker, argv, { stdin: [Buffer.from('a\n')] });
    const { code, err } = await run(broker, argv.slice(0, -1), { stdin: [Buffer.from('a\n')] });
    expect(code).toBe(1);
    expect(err).toMatch(/REFUSED: producer p has stored records on t before\nGive --resume/);
  });

  it('is not resumed with a shorter input', async () => {
    const broker = new FakeBroker();
    await run(broker, argv, { stdin: [Buffer.from('a\nb\nc\n')] });
    const { code, err } = await run(broker, argv, { stdin: [Buffer.from('a\n')] });
    expect(code).toBe(1);
    expect(err).toMatch(/REFUSED: producer p has stored 3 records on partition 0, and this input has only 1/);
  });

  it('makes a topic that is not there, as a first publish does', async () => {
    const broker = new FakeBroker();
    const { code } = await run(broker, ['new', '--producer', 'p'], { stdin: [Buffer.from('a\n')] });
    expect(code).toBe(0);
    expect(broker.topics.has('new')).toBe(true);
  });
});

describe('Ctrl-C during publish', () => {
  it('stops reading, waits for the acks that are due, and ends with 130', async () => {
    const broker = new FakeBroker();
    broker.holdAcks = true;
    const endless = (function* () {
      for (;;) yield Buffer.from('x\n'.repeat(5000));
    })();
    const { terminal, ended } = start(broker, ['t', '--partitions', '1'], { stdin: endless });
    await until(() => broker.values('t', 0).length > 0);
    terminal.signal('SIGINT');
    await new Promise(setImmediate);
    broker.releaseAcks();
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err).toMatch(/^no more is read; waiting for the acks.*\npublished [\d,]+ records/);
  });

  it('given twice does not wait, and says what is not known', async () => {
    const broker = new FakeBroker();
    broker.holdAcks = true;
    const { terminal, ended } = start(broker, ['t', '--partitions', '1', '--producer', 'p'], {
      stdin: [Buffer.from('a\nb\n')],
    });
    await until(() => broker.values('t', 0).length === 2);
    terminal.signal('SIGINT');
    terminal.signal('SIGINT');
    const { code, err } = await ended;
    expect(code).toBe(1);
    expect(err).toMatch(
      /2 of unknown outcome\nsluice publish: REFUSED: standard input:1 has an unknown outcome: OUTCOME_UNKNOWN/,
    );
    expect(err).toContain('Go on with --producer p --resume');
  });
});
