/** A file system of its own that can really be full: a small tmpfs, where this process may mount one. */
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from './broker-process.ts';

export interface SmallDisk {
  readonly path: string;
  remove(): Promise<void>;
}

/** Null where mounting is not allowed: for that a container needs CAP_SYS_ADMIN. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk | null> {
  const folder = await temporaryFolder();
  const path = join(folder.path, 'disk');
  await mkdir(path);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path]);
  if (mounted.status !== 0) {
    await folder.remove();
    return null;
  }
  return {
    path,
    remove: async () => {
      const unmounted = spawnSync('umount', [path]);
      // Lazily, when something still looks at it: nothing may stay mounted behind a test.
      if (unmounted.status !== 0) spawnSync('umount', ['-l', path]);
      await folder.remove();
    },
  };
}

/** A file of this size, written out. */
export async function fill(path: string, megabytes: number): Promise<void> {
  await writeFile(path, Buffer.alloc(megabytes * 1024 * 1024, 1));
}
