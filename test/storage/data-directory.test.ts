import { describe, expect, it } from 'vitest';
import { openDataDirectory, prepareDataDirectory, readDataDirectory } from '../../src/storage/data-directory.ts';
import { DiskFault, MemoryDisk } from '../../src/testing/memory-disk.ts';

const PATH = '/data';
const fresh = { shards: 2, clusterId: 'c-1', createdAt: 1_700_000_000_000 };

async function diskWith(identity: string): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(PATH);
  await disk.replaceSmallFile(`${PATH}/sluice.json`, Buffer.from(identity));
  return disk;
}

describe('a data directory', () => {
  it('is made once, and is the same from then on', async () => {
    const disk = new MemoryDisk();
    await prepareDataDirectory(disk, PATH);
    const made = await openDataDirectory(disk, PATH, fresh);
    expect(made).toMatchObject({ fresh: true, identity: { format: 1, ...fresh } });
    await prepareDataDirectory(disk, PATH);
    const found = await openDataDirectory(disk, PATH, { ...fresh, shards: 9, clusterId: 'c-2' });
    expect(found).toMatchObject({ fresh: false, identity: made.identity });
    expect([found.logPath(1), found.metaPath(1), found.reservePath(1), found.reportPath]).toEqual([
      '/data/shards/01/log',
      '/data/shards/01/meta',
      '/data/shards/01/reserve',
      '/data/last-shutdown.json',
    ]);
  });

  it('is none where nothing tells of one', async () => {
    expect(await readDataDirectory(new MemoryDisk(), PATH)).toBe(null);
  });

  it.each([
    ['of the same shape', '{"format":2,"shards":2,"clusterId":"c","createdAt":1}'],
    ['of a shape that only it knows', '{"format":2,"shards":{"count":4}}'],
  ])('of a newer version, %s, is refused as newer', async (_, identity) => {
    await expect(readDataDirectory(await diskWith(identity), PATH)).rejects.toMatchObject({
      code: 'DATA_DIR_VERSION',
      message: expect.stringContaining('data format 2'),
    });
  });

  it.each([
    ['no JSON', '{"format":1'],
    ['no object', 'null'],
    ['of a format before the first', '{"format":0,"shards":2,"clusterId":"c","createdAt":1}'],
    ['of no shard', '{"format":1,"shards":0,"clusterId":"c","createdAt":1}'],
    ['of 257 shards', '{"format":1,"shards":257,"clusterId":"c","createdAt":1}'],
    ['without an id', '{"format":1,"shards":2,"createdAt":1}'],
  ])('whose file is %s is refused', async (_, identity) => {
    await expect(readDataDirectory(await diskWith(identity), PATH)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: expect.stringContaining('/data/sluice.json does not read as one'),
    });
  });

  it('is not made among files that are not its own', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory(PATH);
    for (const name of ['lost+found', 'holiday.jpg']) await disk.replaceSmallFile(`${PATH}/${name}`, Buffer.from('x'));
    await expect(prepareDataDirectory(disk, PATH)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: expect.stringContaining('it holds holiday.jpg'),
    });
  });

  it('is made where nothing lies but its own locks and what others leave everywhere', async () => {
    const names = ['lock', 'LOCK', 'LOCK.new', 'sluice.json.new', 'lost+found', '.DS_Store', '.gitkeep'];
    for (const name of names) {
      const disk = new MemoryDisk();
      await disk.makeDirectory(PATH);
      await disk.replaceSmallFile(`${PATH}/${name}`, Buffer.from('x'));
      await expect(prepareDataDirectory(disk, PATH), name).resolves.toBeUndefined();
    }
  });

  it('names three of the files that are in its place, and no more', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory(PATH);
    for (const name of ['d', 'b', 'LOCK', 'c', 'a']) await disk.replaceSmallFile(`${PATH}/${name}`, Buffer.from('x'));
    await expect(prepareDataDirectory(disk, PATH)).rejects.toMatchObject({
      message: '/data is not empty and not a Sluice data directory (it holds a, b, c); choose another with --data',
    });
  });

  it('that cannot be written says so, with its cause', async () => {
    const disk = new MemoryDisk();
    await prepareDataDirectory(disk, PATH);
    disk.onCall = (called) => {
      if (called === 'replaceSmallFile') throw new DiskFault('EROFS');
    };
    await expect(openDataDirectory(disk, PATH, fresh)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: 'the data directory /data cannot be written: permission denied (EROFS); choose another with --data',
      cause: { code: 'EROFS' },
    });
  });

  it('whose file does not read tells why', async () => {
    await expect(readDataDirectory(await diskWith('{'), PATH)).rejects.toMatchObject({
      cause: expect.any(SyntaxError),
    });
  });

  it.each([
    ['makeDirectory', 'EEXIST', 'is a file, not a directory'],
    ['makeDirectory', 'ENOTDIR', 'is a file, not a directory'],
    ['makeDirectory', 'EACCES', 'cannot be made: permission denied (EACCES)'],
    ['makeDirectory', 'EROFS', 'cannot be made: permission denied (EROFS)'],
    ['syncDirectory', 'EIO', 'cannot be made: EIO: simulated'],
    ['readSmallFile', 'EIO', 'cannot be read: EIO: simulated'],
    ['list', 'EPERM', 'cannot be listed: permission denied (EPERM)'],
  ] as const)('that a %s with %s keeps away says so', async (op, code, text) => {
    const disk = new MemoryDisk();
    disk.onCall = (called) => {
      if (called === op) throw new DiskFault(code);
    };
    await expect(prepareDataDirectory(disk, PATH)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: `the data directory ${PATH} ${text}; choose another with --data`,
    });
  });

  it.each(['EACCES', 'EPERM'])('is made where the names above it may not be synced (%s)', async (code) => {
    const disk = new MemoryDisk();
    disk.onCall = (called) => {
      if (called === 'syncDirectory') throw new DiskFault(code);
    };
    await expect(prepareDataDirectory(disk, PATH)).resolves.toBeUndefined();
  });
});
