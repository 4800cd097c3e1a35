/** The disk in memory: the same answers as the file system gives, and what a power cut keeps. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemCodeOf } from '../../src/errors.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { nodeDisk } from '../../src/storage/node-disk.ts';
import { DiskFault, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { seededRandom } from './seeded-random.ts';

async function systemCode(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => systemCodeOf(error),
  );
}

async function write(disk: Disk, path: string, text: string, position = 0): Promise<void> {
  const known = await disk.readSmallFile(path);
  const file = await disk.openWrite(path, known === null ? 'create' : 'existing');
  try {
    await file.writeSynced([Buffer.from(text)], position);
  } finally {
    await file.close();
  }
}

async function content(disk: Disk, path: string): Promise<string | null> {
  const bytes = await disk.readSmallFile(path);
  return bytes === null ? null : Buffer.from(bytes).toString();
}

const disks = {
  'the file system': async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
    return { disk: nodeDisk, folder, dispose: () => rm(folder, { recursive: true, force: true }) };
  },
  'the disk in memory': async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('/folder');
    return { disk: disk as Disk, folder: '/folder', dispose: async () => {} };
  },
};

describe.each(Object.entries(disks))('%s', (_name, make) => {
  test('writes, reads, cuts, lists, replaces and removes', async () => {
    const { disk, folder, dispose } = await make();
    try {
      const path = join(folder, 'a');
      const file = await disk.openWrite(path, 'create');
      await file.writeSynced([Buffer.from('hello '), Buffer.from(''), Buffer.from('world')], 0);
      await file.writeSynced([Buffer.from('there')], 6);
      const target = Buffer.alloc(20, '.');
      expect(await file.read(target, 3)).toBe(8);
      expect(target.toString()).toBe('lo there............');
      expect(await file.read(target, 11)).toBe(0);
      await file.truncate(5);
      await file.sync();
      expect(await file.size()).toBe(5);
      await file.writeSynced([Buffer.from('!')], 7);
      await Promise.all([file.close(), file.close()]);
      expect(await content(disk, path)).toBe('hello\0\0!');
      await disk.makeDirectory(join(folder, 'b', 'c'));
      await disk.makeDirectory(join(folder, 'b', 'c'));
      await disk.replaceSmallFile(join(folder, 'b', 'small'), Buffer.from('one'));
      await disk.replaceSmallFile(join(folder, 'b', 'small'), Buffer.from('two'));
      expect(await content(disk, join(folder, 'b', 'small'))).toBe('two');
      expect(await disk.list(folder)).toEqual(['a', 'b']);
      expect(await disk.list(join(folder, 'b'))).toEqual(['c', 'small']);
      await disk.remove(path);
      await disk.remove(path);
      await disk.removeTree(join(folder, 'b'));
      await disk.removeTree(join(folder, 'b'));
      expect(await disk.list(folder)).toEqual([]);
      expect(await content(disk, path)).toBeNull();
      expect((await disk.space(folder)).freeBytes).toBeGreaterThan(1000);
    } finally {
      await dispose();
    }
  });

  test('says what is wrong by the system code', async () => {
    const { disk, folder, dispose } = await make();
    try {
      await write(disk, join(folder, 'file'), 'x');
      expect(await systemCode(disk.openRead(join(folder, 'none')))).toBe('ENOENT');
      expect(await systemCode(disk.openWrite(join(folder, 'none'), 'existing'))).toBe('ENOENT');
      expect(await systemCode(disk.openWrite(join(folder, 'file'), 'create'))).toBe('EEXIST');
      expect(await systemCode(disk.openWrite(join(folder, 'none', 'file'), 'create'))).toBe('ENOENT');
      expect(await systemCode(disk.list(join(folder, 'none')))).toBe('ENOENT');
      expect(await systemCode(disk.list(join(folder, 'file')))).toBe('ENOTDIR');
      expect(await systemCode(disk.makeDirectory(join(folder, 'file')))).toBe('EEXIST');
    } finally {
      await dispose();
    }
  });

  test('keeps a removed file for those who have it open', async () => {
    const { disk, folder, dispose } = await make();
    try {
      const path = join(folder, 'file');
      await write(disk, path, 'old');
      const file = await disk.openRead(path);
      await disk.remove(path);
      await write(disk, path, 'new');
      const target = Buffer.alloc(3);
      await file.read(target, 0);
      expect([target.toString(), await content(disk, path)]).toEqual(['old', 'new']);
      await file.close();
    } finally {
      await dispose();
    }
  });
});

describe('a power cut of the disk in memory', () => {
  test('keeps what was synced, by name and by bytes', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('/d');
    await disk.syncDirectory('/');
    await write(disk, '/d/kept', 'kept');
    await disk.syncDirectory('/d');
    await write(disk, '/d/lost', 'its name was not synced');
    await disk.remove('/d/kept');
    const none = disk.crash({ keep: 'none' });
    expect([none.paths, await content(none, '/d/kept')]).toEqual([['/d/kept'], 'kept']);
    expect(disk.crash({ keep: 'all' }).paths).toEqual(['/d/lost']);
    expect(disk.paths).toEqual(['/d/lost']);
  });

  test('loses what lies in a folder whose name was not synced', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('/d');
    await write(disk, '/d/file', 'x');
    await disk.syncDirectory('/d');
    expect(disk.crash({ keep: 'none' }).paths).toEqual([]);
  });

  test('undoes writes and cuts that were not synced', async () => {
    const disk = new MemoryDisk();
    await write(disk, '/file', 'abcdef');
    await disk.syncDirectory('/');
    const file = await disk.openWrite('/file', 'existing');
    await file.truncate(2);
    disk.onCall = () => {
      throw new DiskFault('EIO', { landedBytes: 2 });
    };
    await expect(file.writeSynced([Buffer.from('XYZ')], 2)).rejects.toThrow('EIO');
    disk.onCall = null;
    expect(await content(disk, '/file')).toBe('abXY');
    expect(await content(disk.crash({ keep: 'none' }), '/file')).toBe('abcdef');
    expect(await content(disk.crash({ keep: 'all' }), '/file')).toBe('abXY');
    await file.sync();
    expect(await content(disk.crash({ keep: 'none' }), '/file')).toBe('abXY');
    await file.close();
  });

  test('tears a write under way by the sector, in any order', async () => {
    const disk = new MemoryDisk();
    await write(disk, '/file', 'a'.repeat(2048));
    await disk.syncDirectory('/');
    const file = await disk.openWrite('/file', 'existing');
    disk.onCall = () => new Promise<never>(() => {});
    void file.writeSynced([Buffer.alloc(2048, 'b')], 0);
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed += 1) {
      const found = (await content(disk.crash({ keep: 'torn', random: seededRandom(seed) }), '/file')) ?? '';
      const sectors = [0, 512, 1024, 1536].map((at) => found.slice(at, at + 512));
      for (const sector of sectors) expect([...new Set(sector)]).toHaveLength(1);
      seen.add(sectors.map((sector) => sector[0]).join(''));
    }
    expect(seen.size).toBe(16);
    expect(await content(disk.crash({ keep: 'none' }), '/file')).toBe('a'.repeat(2048));
    expect(await content(disk.crash({ keep: 'all' }), '/file')).toBe('b'.repeat(2048));
  });

  test('is the same for the same randomness', async () => {
    const disk = new MemoryDisk();
    const file = await disk.openWrite('/file', 'create');
    disk.onCall = () => new Promise<never>(() => {});
    void file.writeSynced([Buffer.alloc(5000, 'b')], 0);
    const crash = (): string => {
      const found = disk.crash({ keep: 'torn', random: seededRandom(3) });
      return found.paths.map((path) => Buffer.from(found.bytesOf(path)).toString('hex')).join();
    };
    expect(crash()).toBe(crash());
  });

  test('runs out of room with the bytes that fit, and has it back with what is removed', async () => {
    const disk = new MemoryDisk(10);
    const file = await disk.openWrite('/file', 'create');
    await file.writeSynced([Buffer.from('12345678')], 0);
    expect(await systemCode(file.writeSynced([Buffer.from('9abc')], 8))).toBe('ENOSPC');
    expect([await file.size(), disk.freeBytes]).toEqual([10, 0]);
    await file.writeSynced([Buffer.from('X')], 0);
    await disk.remove('/file');
    expect(disk.freeBytes).toBe(0);
    await file.close();
    expect(disk.freeBytes).toBe(10);
  });
});
