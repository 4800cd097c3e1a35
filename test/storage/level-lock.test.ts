import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LockHolder } from '../../src/storage/data-lock.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { levelLock } from '../../src/storage/level-lock.ts';
import { nodeDisk } from '../../src/storage/node-disk.ts';

const holder: LockHolder = { pid: 4711, host: 'somewhere', since: 1_700_000_000_000, version: '0.0.0' };
const lock = levelLock(nodeDisk);
let path: string;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'sluice-lock-'));
});
afterEach(() => rm(path, { recursive: true, force: true }));

/** The disk, with one call of it replaced. */
function diskWith(calls: Partial<Disk>): Disk {
  return { ...nodeDisk, ...calls };
}

const fail = (code: string) => async (): Promise<never> => {
  throw Object.assign(new Error(`${code}: on purpose`), { code });
};

describe('the data lock', () => {
  it('is had by one at a time, is named by a file, and is let go once', async () => {
    const held = await lock(path, holder);
    expect(JSON.parse(await readFile(join(path, 'LOCK'), 'utf8'))).toEqual(holder);
    await expect(lock(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: `${path} is held by process 4711 on somewhere since 2023-11-14T22:13:20.000Z`,
    });
    await Promise.all([held.release(), held.release()]);
    await expect(readFile(join(path, 'LOCK'))).rejects.toMatchObject({ code: 'ENOENT' });
    await (await lock(path, holder)).release();
  });

  it.each([
    ['is not there yet', null],
    ['is half written', '{"pid":'],
    ['says no time', '{"pid":1,"host":"h"}'],
    // No process has so high a number.
    ['is that of a process here that was killed', JSON.stringify({ ...holder, pid: 2 ** 22 + 5, host: hostname() })],
  ])('is refused also while the name of its holder %s', async (_, text) => {
    const held = await lock(path, holder);
    if (text === null) await rm(join(path, 'LOCK'));
    else await writeFile(join(path, 'LOCK'), text);
    await expect(lock(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: expect.stringContaining('another process, which has not said its name yet'),
    });
    await held.release();
  });

  it('names a holder that lives on this machine', async () => {
    const held = await lock(path, { ...holder, pid: process.pid, host: hostname() });
    await expect(lock(path, holder)).rejects.toMatchObject({
      message: `${path} is held by process ${process.pid} on ${hostname()} since 2023-11-14T22:13:20.000Z`,
    });
    await held.release();
  });

  it('is refused while another process has it, and is had once that one is gone', async () => {
    const script = `import('level').then(async ({ Level }) => {
      await new Level(process.argv[1]).open();
      console.log('held');
      setInterval(() => {}, 1000);
    })`;
    const other = spawn(process.execPath, ['-e', script, join(path, 'lock')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(other, 'exit');
    try {
      await once(other.stdout, 'data');
      await writeFile(join(path, 'LOCK'), JSON.stringify(holder));
      await expect(lock(path, holder)).rejects.toMatchObject({
        code: 'DATA_DIR_LOCKED',
        message: expect.stringContaining('process 4711 on somewhere'),
      });
    } finally {
      other.kill('SIGKILL');
      await ended;
    }
    await (await lock(path, holder)).release();
  });

  it.each([
    ['a file', async () => writeFile(join(path, 'lock'), 'x')],
    [
      'a store whose manifest is gone',
      async () => {
        await mkdir(join(path, 'lock'));
        await writeFile(join(path, 'lock', 'CURRENT'), 'MANIFEST-999999\n');
      },
    ],
    [
      'a store with a damaged table',
      async () => {
        await mkdir(join(path, 'lock'));
        const table = Buffer.alloc(60);
        table.writeBigUInt64LE(0xdb4775248b80fb57n, 52);
        table.writeUInt8(200, 12);
        await writeFile(join(path, 'lock', '000005.ldb'), table);
      },
    ],
  ])('is made anew where %s lies in its place', async (_, damage) => {
    await damage();
    const held = await lock(path, holder);
    await expect(lock(path, holder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await held.release();
  });

  it('says why it can not be had where what is damaged can not be looked at', async () => {
    await mkdir(join(path, 'lock'));
    await writeFile(join(path, 'lock', 'CURRENT'), 'MANIFEST-999999\n');
    await expect(levelLock(diskWith({ list: fail('EIO') }))(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: expect.stringContaining(`the data directory ${path} cannot be locked: `),
      cause: { code: 'EIO' },
    });
    await (await lock(path, holder)).release();
  });

  it('says why it can not be had where its store can not be made', async () => {
    // A link that leads nowhere: no folder to be listed, and none that LevelDB could make.
    await promisify(execFile)('ln', ['-s', join(path, 'nowhere', 'at all'), join(path, 'lock')]);
    await expect(lock(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: expect.stringContaining(`the data directory ${path} cannot be locked: `),
    });
    await rm(join(path, 'lock'));
    await (await lock(path, holder)).release();
  });

  it('is refused where another takes it while a damaged store is made anew', async () => {
    await mkdir(join(path, 'lock'));
    await writeFile(join(path, 'LOCK'), JSON.stringify(holder));
    const table = Buffer.alloc(60);
    table.writeBigUInt64LE(0xdb4775248b80fb57n, 52);
    table.writeUInt8(200, 12);
    await writeFile(join(path, 'lock', '000005.ldb'), table);
    const other = new Level(join(path, 'lock'));
    const overtaken = diskWith({
      removeTree: async (damaged) => {
        await nodeDisk.removeTree(damaged);
        await other.open();
      },
    });
    await expect(levelLock(overtaken)(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: `${path} is held by process 4711 on somewhere since 2023-11-14T22:13:20.000Z`,
    });
    await other.close();
    await (await lock(path, holder)).release();
  });

  it('says why it can not be had, and may be tried again', async () => {
    await writeFile(join(path, 'lock'), 'x');
    const keeps = diskWith({ remove: fail('EPERM') });
    const refused = {
      code: 'DATA_DIR_INVALID',
      message: expect.stringMatching(/cannot be locked: .+; choose another with --data$/s),
    };
    await expect(levelLock(keeps)(path, holder)).rejects.toMatchObject(refused);
    await (await lock(path, holder)).release();
  });

  it('is let go again where its holder can not be named', async () => {
    const unnamed = levelLock(diskWith({ replaceSmallFile: fail('ENOSPC') }));
    await expect(unnamed(path, holder)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      message: expect.stringContaining('ENOSPC: on purpose'),
    });
    await (await lock(path, holder)).release();
  });

  it('goes also when its name does not', async () => {
    const held = await levelLock(diskWith({ remove: fail('EIO') }))(path, holder);
    await expect(held.release()).rejects.toMatchObject({ code: 'EIO' });
    await (await lock(path, holder)).release();
  });

  it('is that of the folder, by whichever name', async () => {
    const link = `${path}-link`;
    await promisify(execFile)('ln', ['-s', path, link]);
    const held = await lock(path, holder);
    await expect(lock(link, holder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await held.release();
    await rm(link);
  });
});
