/**
 * Real input: every line of every `*.d.ts` below node_modules goes through `sluice publish` into a topic keyed by file,
 * while the broker is killed and the command is killed and resumed; read back per key, it is the files, byte for byte.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerProcess, commandPath, freePort, runCommand, temporaryFolder } from '../support/broker-process.ts';

const modules = resolve(import.meta.dirname, '../../node_modules');
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function declarationFiles(): string[] {
  return readdirSync(modules, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.d.ts'))
    .map((name) => join(modules, name))
    .filter((path) => statSync(path).isFile() && statSync(path).size > 0)
    .sort();
}

describe('every line of every .d.ts file in node_modules', () => {
  it('comes back byte for byte through kill -9 of the broker and of the publisher', { timeout: 180_000 }, async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const files = declarationFiles();
    expect(files.length).toBeGreaterThan(500);
    const port = await freePort();
    let broker = await BrokerProcess.start({ data: folder.path, port });
    cleanups.push(() => broker.stop('SIGKILL'));
    const args = ['publish', 'declarations', '-', '--files-from', '--key-from', 'file', '--partitions', '4'];
    const flags = ['--producer', 'declarations', '--resume', '--url', broker.url];
    const input = files.join('\n');

    // The publisher is killed while it publishes; the broker is killed while the resumed one does.
    const first = publish([...args, ...flags], input);
    await recordsStored(broker, 20_000);
    first.kill('SIGKILL');
    await once(first, 'exit');
    const resumed = publish([...args, ...flags], input);
    const ended = once(resumed, 'exit');
    await recordsStored(broker, 60_000);
    await broker.stop('SIGKILL');
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
    const { texts, partitions } = textsByKey(read.stdout);
    expect([...texts.keys()].sort()).toEqual(files);
    expect(partitions).toBe(4);
    const wrong = files.filter((file) => !readFileSync(file).equals(Buffer.from(texts.get(file) ?? '', 'utf8')));
    expect(wrong).toEqual([]);
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

/** Lines put together again per file; a file that ends with a newline ends with one empty last line less. */
function textsByKey(jsonl: Buffer): { texts: Map<string, string>; partitions: number } {
  const lines = new Map<string, string[]>();
  const partitions = new Set<number>();
  for (const text of jsonl.toString().split('\n')) {
    if (text === '') continue;
    const record = JSON.parse(text) as {
      key: string;
      value: string;
      partition: number;
      headers?: Record<string, string>;
    };
    const of = lines.get(record.key) ?? [];
    lines.set(record.key, of);
    of.push(record.value);
    partitions.add(record.partition);
  }
  const texts = new Map<string, string>();
  for (const [file, of] of lines) {
    const newline = readFileSync(file).at(-1) === 0x0a;
    texts.set(file, of.join('\n') + (newline ? '\n' : ''));
  }
  return { texts, partitions: partitions.size };
}
