/** Failing disk calls: the Nth one, for every N, with the errors that disks give. */
import { describe, expect, test } from 'vitest';
import { systemCodeOf } from '../../src/errors.ts';
import { DiskFault, type DiskOp, MemoryDisk } from '../../src/testing/memory-disk.ts';
import { entry, rejection, texts } from './log-contract.ts';
import { callsOf, codeOf, open, prepare, Script, SEGMENT_BYTES } from './segment-script.ts';

async function newDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await prepare(disk);
  return disk;
}

/** Fails `count` calls from the `nth` on. */
function failFrom(disk: MemoryDisk, nth: number, count: number, fault: () => DiskFault): void {
  let calls = 0;
  disk.onCall = () => {
    calls += 1;
    if (calls >= nth && calls < nth + count) throw fault();
  };
}

const faults: readonly { readonly name: string; readonly make: () => DiskFault }[] = [
  { name: 'ENOSPC', make: () => new DiskFault('ENOSPC') },
  { name: 'ENOSPC after some bytes', make: () => new DiskFault('ENOSPC', { landedBytes: 50 }) },
  { name: 'EIO', make: () => new DiskFault('EIO') },
  { name: 'EIO with all bytes there', make: () => new DiskFault('EIO', { landedBytes: Number.MAX_SAFE_INTEGER }) },
  {
    name: 'EIO with all bytes there in vain',
    make: () => new DiskFault('EIO', { landedBytes: 1e6, unsyncable: true }),
  },
  { name: 'EIO with the bytes there later', make: () => new DiskFault('EIO', { late: true }) },
  { name: 'EMFILE', make: () => new DiskFault('EMFILE') },
];

describe('a segment log on a disk that fails', () => {
  test.each(faults)('loses nothing acknowledged when any one call fails: $name', async ({ make }) => {
    const calls = await callsOf(newDisk);
    for (let nth = 1; nth <= calls; nth += 1) {
      for (const count of [1, 2, 3]) {
        const disk = await newDisk();
        const script = new Script(6);
        failFrom(disk, nth, count, make);
        await script.run(disk);
        expect(script.acknowledged).toBe(script.offered.length);
        for (const error of script.errors) {
          expect(['LOG_READ_FAILED', 'LOG_WRITE_FAILED']).toContain(codeOf(error));
          expect(systemCodeOf(error)).toBe(make().code);
        }
        disk.onCall = null;
        disk.landLate();
        expect([nth, disk.openFiles]).toEqual([nth, 0]);
        for (const keep of ['none', 'all'] as const) {
          const log = await open(disk.crash({ keep }));
          await script.check(log);
          await log.close();
        }
      }
    }
  });

  test.each(['EIO', 'EMFILE', 'ENOMEM'])(
    'takes no failing read for the end: %s at any call of an open',
    async (code) => {
      const disk = await newDisk();
      const script = new Script();
      await script.run(disk);
      for (let nth = 1; ; nth += 1) {
        const copy = disk.crash({ keep: 'none' });
        failFrom(copy, nth, 1, () => new DiskFault(code));
        const before = copy.calls;
        const opened = await open(copy).then(
          (log) => log,
          (error: unknown) => error,
        );
        if (copy.calls - before < nth) break;
        expect(['LOG_READ_FAILED', 'LOG_WRITE_FAILED']).toContain(codeOf(opened));
        expect(copy.openFiles).toBe(0);
        copy.onCall = null;
        const log = await open(copy);
        await script.check(log);
        await log.close();
      }
    },
  );

  test('rejects a read that fails and serves the next one', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    await log.append([entry('kept')]);
    for (const op of ['openRead', 'read'] as const) {
      failOnce(disk, op);
      const error = await rejection(log.read(null, 1000));
      expect([op, error.code, systemCodeOf(error)]).toEqual([op, 'LOG_READ_FAILED', 'EIO']);
      expect(await texts(log)).toEqual(['kept']);
    }
    await log.close();
    expect(disk.openFiles).toBe(0);
  });

  test('serves a read under way while its segment is dropped', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    for (const text of ['first'.padEnd(2100), 'second'.padEnd(2100), 'third']) await log.append([entry(text)]);
    let release = (): void => {};
    disk.onCall = (op) => {
      if (op !== 'size') return;
      disk.onCall = null;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    };
    const reading = log.read(null, 1);
    await new Promise((resolve) => setImmediate(resolve));
    await log.truncateBefore(3);
    expect(log.firstSequence).toBe(3);
    release();
    expect((await reading).entries.map(({ sequence }) => sequence)).toEqual([1]);
    await log.close();
    expect(disk.openFiles).toBe(0);
  });

  test('takes a short read for an error, not for the end', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    await log.append([entry('one'.padEnd(100))]);
    disk.onCall = (op) => (op === 'read' ? 10 : undefined);
    expect((await rejection(log.read(null, 1000))).code).toBe('LOG_READ_FAILED');
    disk.onCall = null;
    await log.close();
    const size = disk.bytesOf(disk.paths[0] ?? '').length;
    disk.onCall = (op) => (op === 'read' ? 40 : undefined);
    expect((await rejection(open(disk))).code).toBe('LOG_READ_FAILED');
    expect(disk.bytesOf(disk.paths[0] ?? '').length).toBe(size);
  });

  test('stays fenced while no new segment can be made, and goes on once one can', async () => {
    const disk = await newDisk();
    const log = await open(disk);
    await log.append([entry('kept')]);
    disk.capacityBytes = disk.usedBytes + 10;
    const error = await rejection(log.append([entry('too large for the disk')]));
    expect([error.code, systemCodeOf(error)]).toEqual(['LOG_WRITE_FAILED', 'ENOSPC']);
    for (let tries = 0; tries < 3; tries += 1) {
      expect(systemCodeOf(await rejection(log.rollOver()))).toBe('ENOSPC');
      expect(log.fenced).toBe(true);
    }
    expect(await texts(log)).toEqual(['kept']);
    disk.capacityBytes += 100_000;
    await log.rollOver();
    await log.append([entry('again')]);
    expect(await texts(log)).toEqual(['kept', 'again']);
    await log.close();
    expect(disk.openFiles).toBe(0);
    const reopened = await open(disk.crash({ keep: 'none' }));
    expect(await texts(reopened)).toEqual(['kept', 'again']);
  });
});

describe('a log that is sealed while it writes', () => {
  test.each(['an append', 'a roll-over'])('begins no other write, whichever call of %s hangs', async (what) => {
    for (let hung = 1; ; hung += 1) {
      const disk = await newDisk();
      const log = await open(disk);
      await log.append([entry('full'.padEnd(SEGMENT_BYTES + 1))]);
      if (what === 'a roll-over') {
        failOnce(disk, 'write');
        await log.append([entry('not stored')]).catch(() => {});
      }
      const calls: DiskOp[] = [];
      let release = (): void => {};
      disk.onCall = (op) => {
        calls.push(op);
        if (calls.length !== hung) return;
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      };
      const outcome = (what === 'an append' ? log.append([entry('more')]) : log.rollOver()).then(
        () => null,
        (error: unknown) => codeOf(error),
      );
      await new Promise((resolve) => setImmediate(resolve));
      if (calls.length < hung) {
        await log.close();
        expect(hung).toBeGreaterThan(3);
        return;
      }
      log.seal();
      const closing = log.close();
      release();
      await closing;
      const later = calls.slice(hung).filter((op) => op === 'write' || op === 'replaceSmallFile' || op === 'truncate');
      expect([hung, later]).toEqual([hung, []]);
      expect([null, 'LOG_WRITE_FAILED']).toContain(await outcome);
      expect(disk.openFiles).toBe(0);
    }
  });
});

function failOnce(disk: MemoryDisk, failing: DiskOp): void {
  disk.onCall = (op) => {
    if (op !== failing) return;
    disk.onCall = null;
    throw new DiskFault('EIO');
  };
}

describe('an empty last segment', () => {
  /** A log of ten entries whose segments were all dropped but the last, which holds none. */
  async function emptied(): Promise<{ disk: MemoryDisk; log: Awaited<ReturnType<typeof open>> }> {
    const disk = await newDisk();
    const log = await open(disk);
    for (let index = 1; index <= 10; index += 1) await log.append([entry(`${index}:`.padEnd(300, '.'))]);
    disk.onCall = (op) => {
      if (op === 'write') throw new DiskFault('EIO');
    };
    await log.append([entry('not stored')]).catch(() => {});
    disk.onCall = null;
    await log.rollOver();
    await log.truncateBefore(11);
    expect([log.firstSequence, log.nextSequence]).toEqual([11, 11]);
    return { disk, log };
  }

  test('is made anew after a failed write without the log ever forgetting where it goes on', async () => {
    for (let at = 1; ; at += 1) {
      const { disk, log } = await emptied();
      disk.onCall = (op) => {
        if (op === 'write') throw new DiskFault('EIO');
      };
      await log.append([entry('not stored')]).catch(() => {});
      let calls = 0;
      const found: MemoryDisk[] = [];
      disk.onCall = () => {
        calls += 1;
        if (calls !== at) return;
        for (const keep of ['none', 'all'] as const) found.push(disk.crash({ keep }));
      };
      await log.rollOver();
      disk.onCall = null;
      found.push(disk.crash({ keep: 'none' }), disk.crash({ keep: 'all' }));
      for (const left of found) {
        const again = await open(left);
        expect([at, again.nextSequence]).toEqual([at, 11]);
        await again.close();
      }
      await log.close();
      if (calls < at) break;
    }
  });
});
