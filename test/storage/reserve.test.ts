import { describe, expect, it } from 'vitest';
import { DiskReserve } from '../../src/storage/reserve.ts';
import { DiskFault, MemoryDisk } from '../../src/testing/memory-disk.ts';

const PATH = '/shard/reserve';
const MiB = 1024 * 1024;

async function diskAndReserve(bytes: number): Promise<{ disk: MemoryDisk; reserve: DiskReserve }> {
  const disk = new MemoryDisk();
  await disk.makeDirectory('/shard');
  return { disk, reserve: new DiskReserve(disk, '/shard', PATH, bytes) };
}

async function sizeOf(disk: MemoryDisk): Promise<number | null> {
  return (await disk.readSmallFile(PATH))?.length ?? null;
}

describe('the disk reserve', () => {
  it('is written once, whatever its size, and given back once', async () => {
    const { disk, reserve } = await diskAndReserve(2 * MiB + 5);
    expect(await reserve.giveBack()).toBe(0);
    await reserve.ensure();
    expect(await sizeOf(disk)).toBe(2 * MiB + 5);
    const { calls } = disk;
    await reserve.ensure();
    expect(disk.calls).toBe(calls);
    expect(await reserve.giveBack()).toBe(2 * MiB + 5);
    expect(await sizeOf(disk)).toBe(null);
    expect(await reserve.giveBack()).toBe(0);
  });

  it('is taken as it lies there, and made anew where it is short', async () => {
    const { disk, reserve } = await diskAndReserve(1000);
    await reserve.ensure();
    const writes: string[] = [];
    disk.onCall = (op) => void writes.push(op);
    await new DiskReserve(disk, '/shard', PATH, 1000).ensure();
    expect(writes).not.toContain('write');
    await new DiskReserve(disk, '/shard', PATH, 1500).ensure();
    expect(await sizeOf(disk)).toBe(1500);
  });

  it('of no bytes is no file', async () => {
    const { disk, reserve } = await diskAndReserve(0);
    await reserve.ensure();
    expect(await sizeOf(disk)).toBe(null);
  });

  it('leaves nothing behind where there is no room, and may be tried again', async () => {
    const { disk, reserve } = await diskAndReserve(3 * MiB);
    let writes = 0;
    disk.onCall = (op) => {
      if (op === 'write' && ++writes === 3) throw new DiskFault('ENOSPC', { landedBytes: 10 });
    };
    await expect(reserve.ensure()).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await sizeOf(disk)).toBe(null);
    expect(disk.openFiles).toBe(0);
    await reserve.ensure();
    expect(await sizeOf(disk)).toBe(3 * MiB);
  });

  it('tells an error of the disk, which does not mean that it is missing', async () => {
    const { disk, reserve } = await diskAndReserve(1000);
    disk.onCall = (op) => {
      if (op === 'openRead') throw new DiskFault('EACCES');
    };
    await expect(reserve.ensure()).rejects.toMatchObject({ code: 'EACCES' });
  });
});
