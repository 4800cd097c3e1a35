/** The segment log on both disks: the contract, and what it says when the disk fails. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Disk } from '../../src/storage/disk.ts';
import { nodeDisk } from '../../src/storage/node-disk.ts';
import { openSegmentLog } from '../../src/storage/segment-log.ts';
import { MemoryDisk } from '../../src/testing/memory-disk.ts';
import { FaultDisk } from './fault-disk.ts';
import { CONTRACT_SEGMENT_BYTES, entry, type LogRig, logContract, texts } from './log-contract.ts';

async function segmentLogRig(below: Disk, directory: string, dispose: () => Promise<void>): Promise<LogRig> {
  const faults = new FaultDisk(below);
  const options = { disk: faults.disk, directory, shard: 3, segmentBytes: CONTRACT_SEGMENT_BYTES };
  let { log } = await openSegmentLog(options, null);
  return {
    log,
    failAppend: (systemCode, landedBytes = 60) => faults.failWrite(systemCode, landedBytes),
    holdAppend: () => faults.holdWrite(),
    landLate: () => faults.landLate(),
    reopen: async () => {
      await log.close();
      ({ log } = await openSegmentLog(options, null));
      return log;
    },
    openFiles: () => faults.openFiles,
    dispose,
  };
}

logContract('segments on the file system', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  return segmentLogRig(nodeDisk, join(folder, 'log'), () => rm(folder, { recursive: true, force: true }));
});

logContract('segments on the disk in memory', async () => segmentLogRig(new MemoryDisk(), '/log', async () => {}));

describe('segments on the file system', () => {
  test('are readable by their owner alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
    try {
      const directory = join(folder, 'log');
      const { log } = await openSegmentLog({ disk: nodeDisk, directory, shard: 0, segmentBytes: 65_536 }, null);
      await log.close();
      const modes = [directory, join(directory, '00000000000000000001.log')].map(
        async (path) => (await stat(path)).mode,
      );
      expect((await Promise.all(modes)).map((mode) => (mode & 0o777).toString(8))).toEqual(['700', '600']);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('take a group of more parts than one system call does', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
    try {
      const options = { disk: nodeDisk, directory: join(folder, 'log'), shard: 0, segmentBytes: 1 << 30 };
      const { log } = await openSegmentLog(options, null);
      // Parts of 16 KiB are not copied together: each is one of the call's.
      const group = Array.from({ length: 600 }, (_, index) => entry(String(index).padEnd(16 * 1024, '.')));
      await log.append(group);
      expect((await texts(log)).map((text) => Number.parseInt(text, 10))).toEqual(group.map((_, index) => index));
      await log.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
