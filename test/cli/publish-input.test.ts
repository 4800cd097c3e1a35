import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInputs, type InputForm, readFileList, readInputs } from '../../src/cli/publish-input.ts';

const never = new AbortController().signal;
let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-input-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

const lines: InputForm = {
  format: 'lines',
  lineEnd: 10,
  keepLineEnd: false,
  readBytesMax: 1000,
  recordBytesMax: 1000,
  defaultsOf: () => ({ key: null, headers: null }),
};

async function read(paths: readonly string[], form: InputForm = lines, stdin: Iterable<Buffer> = [], stop = never) {
  const records: { value: string; key: string | null; place: string }[] = [];
  let bytes = 0;
  const input = readInputs(await findInputs(paths), form, Readable.from(stdin, { objectMode: false }), stop);
  for await (const piece of input) {
    bytes += piece.bytes;
    for (const { value, key, place } of piece.records) {
      records.push({ value: String(value), key: key === null ? null : String(key), place });
    }
  }
  return { records, bytes };
}

describe('the inputs of publish', () => {
  it('are read in order, each line with its place and the key of its file', async () => {
    const a = await file('a', 'one\n\ntwo');
    const b = await file('b', 'three\n');
    const form = { ...lines, defaultsOf: (path: string) => ({ key: Buffer.from(path), headers: null }) };
    const { records, bytes } = await read([a, b], form);
    expect(records.map(({ value }) => value)).toEqual(['one', '', 'two', 'three']);
    expect(records.map(({ place }) => place)).toEqual([`${a}:1`, `${a}:2`, `${a}:3`, `${b}:1`]);
    expect(records.map(({ key }) => key)).toEqual([a, a, a, b]);
    expect(bytes).toBe(14);
  });

  it('are standard input where none or - is given', async () => {
    const chunks = [Buffer.from('a\nb'), Buffer.from('c\nd')];
    for (const paths of [[], ['-']]) {
      const { records } = await read(paths, lines, chunks);
      expect(records.map(({ value }) => value)).toEqual(['a', 'bc', 'd']);
      expect(records[0]?.place).toBe('standard input:1');
    }
  });

  it('are all looked at before the first is read', async () => {
    await mkdir(join(directory, 'd'), { recursive: true });
    const missing = join(directory, 'missing');
    await expect(findInputs([missing, join(directory, 'd'), '-', '-'])).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(/ENOENT.*missing[\s\S]*d is a directory[\s\S]*given twice/),
    });
  });

  it('name the file and the line of a fault, and give the records before it', async () => {
    const path = await file('bad.jsonl', '{"value":1}\n{"value":2}\n{oops\n{"value":3}\n');
    const seen: string[] = [];
    const reading = (async () => {
      const form = { ...lines, format: 'jsonl' as const };
      for await (const piece of readInputs(await findInputs([path]), form, Readable.from([]), never)) {
        seen.push(...piece.records.map(({ value }) => JSON.stringify(value)));
      }
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(/bad\.jsonl:3: not JSON in UTF-8/),
    });
    expect(seen).toEqual(['1', '2']);
  });

  it('name the line that is too long', async () => {
    const path = await file('long', `ok\n${'x'.repeat(1001)}\n`);
    await expect(read([path])).rejects.toThrow(/long:2: line 2 has more than 1000 bytes/);
  });

  it('can be whole files, which fit into one record or are refused', async () => {
    const small = await file('small', 'a\nb\n');
    const large = await file('large', 'x'.repeat(1001));
    const form = { ...lines, format: 'file' as const };
    expect((await read([small], form)).records).toEqual([{ value: 'a\nb\n', key: null, place: small }]);
    await expect(read([large], form)).rejects.toThrow(/large: 1001 bytes do not fit into one record of 1000/);
    await expect(read(['-'], form, [Buffer.alloc(900), Buffer.alloc(900)])).rejects.toThrow(/do not fit/);
  });

  it('can be named in lists, a path a line', async () => {
    const list = await file('list', 'a\n\nb c\n');
    const stdin = Readable.from([Buffer.from('d\ne')], { objectMode: false });
    expect(await readFileList([list, '-'], 10, stdin)).toEqual(['a', 'b c', 'd', 'e']);
    const nul = await file('nul', 'a\nb\0c\0');
    expect(await readFileList([nul], 0, Readable.from([]))).toEqual(['a\nb', 'c']);
    await expect(readFileList([await file('dash', '-\n')], 10, Readable.from([]))).rejects.toThrow(
      /cannot name standard input/,
    );
  });

  it('end in order when told to stop, without half a line', async () => {
    const stop = new AbortController();
    const chunks = (function* () {
      yield Buffer.from('a\nb');
      stop.abort();
      yield Buffer.from('c\n');
    })();
    const { records } = await read(['-'], lines, chunks, stop.signal);
    expect(records.map(({ value }) => value)).not.toContain('b');
    expect(records.length).toBeLessThanOrEqual(2);
  });
});
