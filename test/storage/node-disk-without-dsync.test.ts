/** The disk on a system without O_DSYNC, whose directories cannot be opened: Windows, played by this one. */
import type * as FileConstants from 'node:fs';
import type * as Files from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../src/storage/node-disk.ts';

const calls = vi.hoisted(() => [] as string[]);

vi.mock('node:fs', async (original) => {
  const real = await original<typeof FileConstants>();
  return { ...real, constants: { ...real.constants, O_DSYNC: undefined } };
});

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof Files>();
  const open = async (...given: Parameters<typeof real.open>) => {
    const handle = await real.open(...given);
    const noted = <K extends 'writev' | 'datasync' | 'sync'>(name: K): void => {
      const call = handle[name].bind(handle) as (...given: unknown[]) => unknown;
      handle[name] = ((...arguments_: unknown[]) => {
        calls.push(name);
        return call(...arguments_);
      }) as (typeof handle)[K];
    };
    noted('writev');
    noted('datasync');
    noted('sync');
    return handle;
  };
  return { ...real, open };
});

let folder: string;
const { platform } = process;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  calls.length = 0;
});
afterEach(async () => {
  Object.defineProperty(process, 'platform', { value: platform });
  await rm(folder, { recursive: true, force: true });
});

it('syncs once behind all the writes of a group', async () => {
  const file = await nodeDisk.openWrite(join(folder, 'log'), 'create');
  await file.writeSynced(
    Array.from({ length: 1500 }, () => Buffer.from('x')),
    0,
  );
  expect(calls).toEqual(['writev', 'writev', 'datasync']);
  expect(await file.size()).toBe(1500);
  await file.close();
});

it('syncs no directory where none can be opened, and does elsewhere', async () => {
  Object.defineProperty(process, 'platform', { value: 'win32' });
  await nodeDisk.syncDirectory(join(folder, 'not there'));
  await nodeDisk.syncDirectory(folder);
  expect(calls).toEqual([]);
  Object.defineProperty(process, 'platform', { value: 'linux' });
  await nodeDisk.syncDirectory(folder);
  expect(calls).toEqual(['sync']);
});
