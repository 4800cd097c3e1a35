import type * as Files from 'node:fs/promises';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../src/storage/node-disk.ts';

/** Most bytes that one call of the system writes, and reads: as much as it is given, unless a test says less. */
const system = vi.hoisted(() => ({ bytesMax: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof Files>();
  const open = async (...given: Parameters<typeof real.open>) => {
    const handle = await real.open(...given);
    const { writev } = handle;
    const read = handle.read as unknown as (
      this: typeof handle,
      ...place: [Uint8Array, number, number, number]
    ) => ReturnType<typeof handle.read>;
    handle.writev = (async (parts: readonly Uint8Array[], position: number) => {
      const most = Buffer.concat(parts).subarray(0, system.bytesMax);
      return most.length === 0 ? { bytesWritten: 0, buffers: parts } : writev.call(handle, [most], position);
    }) as typeof writev;
    handle.read = ((target: Uint8Array, at: number, bytes: number, position: number) =>
      read.call(handle, target, at, Math.min(bytes, system.bytesMax), position)) as unknown as typeof handle.read;
    return handle;
  };
  return { ...real, open };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
});
afterEach(async () => {
  system.bytesMax = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, name);
const text = async (name: string): Promise<string> =>
  Buffer.from((await nodeDisk.readSmallFile(at(name))) ?? []).toString();

describe('a file on the disk', () => {
  it.each([Number.POSITIVE_INFINITY, 7, 1])('is written and read whole, %d bytes a call', async (bytesMax) => {
    system.bytesMax = bytesMax;
    const file = await nodeDisk.openWrite(at('log'), 'create');
    const parts = Array.from({ length: 40 }, (_, index) => Buffer.from('x'.repeat(index % 5) + index));
    await file.writeSynced(parts, 0);
    await file.writeSynced([Buffer.from('AB'), Buffer.alloc(0), Buffer.from('C')], 2);
    const whole = Buffer.concat(parts);
    whole.write('ABC', 2);
    expect(await file.size()).toBe(whole.length);
    const target = Buffer.alloc(whole.length + 10);
    expect(await file.read(target, 0)).toBe(whole.length);
    expect(target.subarray(0, whole.length)).toEqual(whole);
    await file.close();
  });

  it('takes more parts than one call of the system does', async () => {
    const file = await nodeDisk.openWrite(at('log'), 'create');
    await file.writeSynced(
      Array.from({ length: 2500 }, (_, index) => Buffer.from([index & 255])),
      3,
    );
    expect(await file.size()).toBe(2503);
    const target = Buffer.alloc(2);
    await file.read(target, 3 + 2047);
    expect([...target]).toEqual([255, 0]);
    await file.close();
  });

  it('fails a write of which the system takes no byte, and does not try for ever', async () => {
    const file = await nodeDisk.openWrite(at('log'), 'create');
    system.bytesMax = 0;
    await expect(file.writeSynced([Buffer.from('x')], 0)).rejects.toMatchObject({ code: 'EIO' });
    await file.writeSynced([Buffer.alloc(0)], 0);
    await file.close();
  });

  it('is made once, opened where it is, and closed as often as one likes', async () => {
    await expect(nodeDisk.openWrite(at('log'), 'existing')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(nodeDisk.openRead(at('log'))).rejects.toMatchObject({ code: 'ENOENT' });
    const file = await nodeDisk.openWrite(at('log'), 'create');
    await expect(nodeDisk.openWrite(at('log'), 'create')).rejects.toMatchObject({ code: 'EEXIST' });
    await file.writeSynced([Buffer.from('12345')], 0);
    await file.truncate(3);
    await file.sync();
    await Promise.all([file.close(), file.close()]);
    expect((await stat(at('log'))).mode & 0o777).toBe(0o600);
    expect(await text('log')).toBe('123');
  });
});

describe('a folder on the disk', () => {
  it('is made with its parents for its owner alone, and lists its names in order', async () => {
    await nodeDisk.makeDirectory(at('a/b'));
    await nodeDisk.makeDirectory(at('a/b'));
    expect((await stat(at('a/b'))).mode & 0o777).toBe(0o700);
    for (const name of ['2', '10', '1']) await writeFile(at(`a/b/${name}`), '');
    expect(await nodeDisk.list(at('a/b'))).toEqual(['1', '10', '2']);
    await nodeDisk.syncDirectory(at('a/b'));
    await nodeDisk.removeTree(at('a'));
    await nodeDisk.removeTree(at('a'));
    await expect(nodeDisk.list(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(nodeDisk.syncDirectory(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('has space', async () => {
    const { freeBytes, totalBytes } = await nodeDisk.space(folder);
    expect(freeBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
  });
});

describe('a small file', () => {
  it('is replaced whole, read whole, and is null where there is none', async () => {
    expect(await nodeDisk.readSmallFile(at('small'))).toBe(null);
    await nodeDisk.replaceSmallFile(at('small'), Buffer.from('one'));
    await nodeDisk.replaceSmallFile(at('small'), Buffer.from('2'));
    expect(await text('small')).toBe('2');
    expect(await nodeDisk.list(folder)).toEqual(['small']);
    await nodeDisk.remove(at('small'));
    await nodeDisk.remove(at('small'));
    expect(await nodeDisk.list(folder)).toEqual([]);
  });

  it('that is a folder is an error, and is left', async () => {
    await mkdir(at('folder'));
    await expect(nodeDisk.readSmallFile(at('folder'))).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(nodeDisk.remove(at('folder'))).rejects.toMatchObject({
      code: expect.stringMatching(/^E(ISDIR|PERM)$/),
    });
    await expect(nodeDisk.replaceSmallFile(at('folder'), Buffer.from('x'))).rejects.toMatchObject({ code: 'EISDIR' });
    expect((await stat(at('folder'))).isDirectory()).toBe(true);
  });
});
