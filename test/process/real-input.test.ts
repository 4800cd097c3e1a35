/**
 * Real input: every line of every `*.d.ts` below node_modules goes through `sluice publish` into a topic keyed by file,
 * while the broker is killed and the command is killed and resumed; read back per key, it is the files, byte for byte.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerProcess, commandPath, freePort, runCommand, temporaryFolder } from '../support/broker-process.ts';
import { declarationFiles } from '../support/declaration-files.ts';

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe('every line of every .d.ts file in node_modules', () => {
  it('comes back byte for byte through kill -9 of the broker and of the publisher', { timeout: 180_000 }, async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const files = declarationFiles();
    expect(files.length).toBeGreaterThan(500);
    const port = await freePort();
    let broker = await BrokerProcess.start({ data: folder.path, port });
    cleanups.push(() => broker.stop('SIGKILL'));
    const args = ['publish', 'declarations', '-', '--files-from', '--key-from', 'file', '--keep-line-ends'];
    const flags = ['--partitions', '4', '--producer', 'declarations', '--resume', '--url', broker.url];
    const input = files.join('\n');

    // The publisher is killed while it publishes; the broker is killed while the resumed one does.
    const first = publish([...args, ...flags], input);
    await recordsStored(broker, 20_000);
    first.kill('SIGKILL');
    expect(await once(first, 'exit')).toEqual([null, 'SIGKILL']);
    const resumed = publish([...args, ...flags], input);
    const ended = once(resumed, 'exit');
    await recordsStored(broker, 60_000);
    await broker.stop('SIGKILL');
    expect(resumed.exitCode, 'the publisher was to be at it still').toBe(null);
    broker = await BrokerProcess.start({ data: folder.path, port });
    expect((await ended)[0]).toBe(0);

    const read = await runCommand([
      'subscribe',
      'declarations',
      '--from',
      'earliest',
      '--until-end',
      '--format',
      'jsonl',
      '--url',
      broker.url,
    ]);
    expect(read.code, read.stderr).toBe(0);
    const { contents, partitions, records } = filesByKey(read.stdout);
    expect(records).toBeGreaterThan(100_000);
    expect(partitions).toBe(4);
    expect([...contents.keys()].sort()).toEqual(files);
    expect(files.filter((file) => contents.get(file)?.equals(readFileSync(file)) !== true)).toEqual([]);
    expect((await broker.stop()).code).toBe(0);
    const verified = await runCommand(['verify', folder.path]);
    expect(verified.code, verified.stdout.toString()).toBe(0);
  });
});

function publish(args: readonly string[], input: string) {
  const child = spawn(process.execPath, [commandPath, ...args], { stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  return child;
}

async function recordsStored(broker: BrokerProcess, count: number): Promise<void> {
  for (;;) {
    const status = (await (await fetch(`${broker.adminUrl}/status`)).json()) as { shards: { records: number }[] };
    if (status.shards.reduce((sum, { records }) => sum + records, 0) >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The values of each key in the order of their offsets, put together again, and how many partitions held them. */
function filesByKey(jsonl: Buffer): { contents: Map<string, Buffer>; partitions: number; records: number } {
  const values = new Map<string, Buffer[]>();
  const partitions = new Set<number>();
  let records = 0;
  for (const text of jsonl.toString().split('\n')) {
    if (text === '') continue;
    const { key, value, encoding, partition } = JSON.parse(text) as {
      key: string;
      value: string;
      encoding: 'utf8' | 'base64';
      partition: number;
    };
    const ofKey = values.get(key) ?? [];
    values.set(key, ofKey);
    ofKey.push(Buffer.from(value, encoding));
    partitions.add(partition);
    records += 1;
  }
  const contents = new Map([...values].map(([key, pieces]) => [key, Buffer.concat(pieces)]));
  return { contents, partitions: partitions.size, records };
}
