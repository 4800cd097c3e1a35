/** What every log promises: the contract of `src/storage/log.ts`, as tests that each adapter runs. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BrokerError, InvariantError, systemCodeOf } from '../../src/errors.ts';
import { EntryKind, type Log, type LogAddress, type LogEntry, type NewEntry } from '../../src/storage/log.ts';

export interface LogRig {
  readonly log: Log;
  /** The next append fails; its first bytes, 60 unless told, are in the log's last segment all the same. */
  failAppend(systemCode: string, landedBytes?: number): void;
  /** The next append waits. */
  holdAppend(): { release(): void; fail(systemCode: string): void };
  /** What the failed append wrote reaches the disk whole, however late. */
  landLate(): Promise<void>;
  /** Closes the log where that is not done, and opens it again as a restart does. */
  reopen(): Promise<Log>;
  /** Descriptors held; 0 where there are none. */
  openFiles(): number;
  dispose(): Promise<void>;
}

/** Segments of a contract log are closed at this size. */
export const CONTRACT_SEGMENT_BYTES = 4096;

export function entry(text: string): NewEntry {
  return { kind: EntryKind.batch, parts: [Buffer.from(text)] };
}

export function bodyText(found: LogEntry): string {
  return Buffer.from(found.body).toString();
}

/** Every entry from `from` on, by reads of about `bytesMax` bytes. */
export async function readAll(log: Log, from: LogAddress | null = null, bytesMax = 1000): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (let at = from; ; ) {
    const read = await log.read(at, bytesMax);
    entries.push(...read.entries);
    if (read.next === null) return entries;
    at = read.next;
  }
}

export async function texts(log: Log, from: LogAddress | null = null, bytesMax = 1000): Promise<string[]> {
  return (await readAll(log, from, bytesMax)).map(bodyText);
}

export async function rejection(promise: Promise<unknown>): Promise<BrokerError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof BrokerError) return error;
  throw new Error(`expected a BrokerError, got ${String(error)}`);
}

export function logContract(name: string, makeRig: () => Promise<LogRig>): void {
  describe(`the log contract: ${name}`, () => {
    let rig: LogRig;
    let log: Log;

    beforeEach(async () => {
      rig = await makeRig();
      log = rig.log;
    });

    afterEach(async () => {
      await log.close();
      await rig.dispose();
    });

    async function fill(count: number, bytes = 300): Promise<string[]> {
      const written: string[] = [];
      for (let index = 0; index < count; index += 1) {
        const text = `${index}:`.padEnd(bytes, 'x');
        await log.append([entry(text)]);
        written.push(text);
      }
      return written;
    }

    test('begins empty, at sequence 1', async () => {
      expect([log.firstSequence, log.nextSequence]).toEqual([1, 1]);
      expect(await log.read(null, 1000)).toEqual({ entries: [], next: null });
    });

    test('gives dense sequences over groups, and an address for each entry', async () => {
      const first = await log.append([entry('a'), entry('b')]);
      const second = await log.append([entry('c')]);
      expect([first.firstSequence, second.firstSequence, log.nextSequence]).toEqual([1, 3, 4]);
      const found = await readAll(log);
      expect(found.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
      expect(found.map(({ address }) => address)).toEqual([...first.addresses, ...second.addresses]);
      expect(log.bytes).toBe(32 + first.bytes + second.bytes);
    });

    test('gives back kind, epoch and the parts of a body as one', async () => {
      log.epoch = 7;
      await log.append([{ kind: EntryKind.commit, parts: [Buffer.from('one '), Buffer.from(''), Buffer.from('two')] }]);
      log.epoch = 8;
      await log.append([{ kind: EntryKind.clean, parts: [] }]);
      const [commit, clean] = await readAll(log);
      expect([commit?.kind, commit?.epoch, bodyText(commit as LogEntry)]).toEqual([EntryKind.commit, 7, 'one two']);
      expect([clean?.kind, clean?.epoch, clean?.body.length]).toEqual([EntryKind.clean, 8, 0]);
    });

    test('resolves an append only when the write is through, and shows nothing of it before', async () => {
      await log.append([entry('before')]);
      const held = rig.holdAppend();
      let settled = false;
      const appending = log.append([entry('held')]).finally(() => {
        settled = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect([settled, log.nextSequence, await texts(log)]).toEqual([false, 2, ['before']]);
      held.release();
      expect((await appending).firstSequence).toBe(2);
      expect(await texts(log)).toEqual(['before', 'held']);
    });

    test('takes one append at a time', async () => {
      const held = rig.holdAppend();
      const appending = log.append([entry('held')]);
      expect(() => log.append([entry('second')])).toThrow(InvariantError);
      held.release();
      await appending;
      await log.append([entry('third')]);
      expect(await texts(log)).toEqual(['held', 'third']);
    });

    test('is fenced by a failed append: the error says why, and nothing more is taken', async () => {
      await log.append([entry('kept')]);
      rig.failAppend('EIO');
      const error = await rejection(log.append([entry('lost')]));
      expect([error.code, systemCodeOf(error)]).toEqual(['LOG_WRITE_FAILED', 'EIO']);
      expect([log.fenced, log.nextSequence]).toEqual([true, 2]);
      expect(() => log.append([entry('refused')])).toThrow(InvariantError);
      expect(await texts(log)).toEqual(['kept']);
    });

    test('rolls over to a fresh segment in which the failed write has no part', async () => {
      await log.append([entry('kept')]);
      rig.failAppend('ENOSPC');
      await rejection(log.append([entry('lost 1'), entry('lost 2'), entry('lost 3')]));
      await log.rollOver();
      expect([log.fenced, log.nextSequence]).toEqual([false, 2]);
      const { firstSequence, addresses } = await log.append([entry('again')]);
      expect([firstSequence, addresses[0]?.segment]).toEqual([2, 2]);
      await rig.landLate();
      await log.append([entry('more')]);
      expect(await texts(log)).toEqual(['kept', 'again', 'more']);
      log = await rig.reopen();
      expect(await texts(log)).toEqual(['kept', 'again', 'more']);
      expect(log.nextSequence).toBe(4);
    });

    test('rolls over as often as appends fail, also where nothing was written in between', async () => {
      for (let round = 0; round < 3; round += 1) {
        rig.failAppend('EIO');
        await rejection(log.append([entry(`lost ${round} and more`), entry('and yet more')]));
        await log.rollOver();
        await rig.landLate();
      }
      await log.append([entry('kept')]);
      await rig.landLate();
      expect(await texts(log)).toEqual(['kept']);
      log = await rig.reopen();
      expect(await texts(log)).toEqual(['kept']);
    });

    test.each([1, 20, 35, 60])('reads on from what was the end before a failed write of %i bytes', async (landed) => {
      await fill(3, 40);
      const { end } = log;
      rig.failAppend('EIO', landed);
      await rejection(log.append([entry('lost 1'), entry('lost 2')]));
      await log.rollOver();
      await log.append([entry('again')]);
      expect(await texts(log, end)).toEqual(['again']);
      await rig.landLate();
      expect(await texts(log, end)).toEqual(['again']);
      log = await rig.reopen();
      expect(await texts(log, end)).toEqual(['again']);
    });

    test('reads from any address, in pieces of any size', async () => {
      const written = await fill(40);
      const all = await readAll(log);
      expect(new Set(all.map(({ address }) => address.segment)).size).toBeGreaterThan(2);
      for (const bytesMax of [1, 700, 100_000]) {
        for (const [index, { address }] of all.entries()) {
          expect(await texts(log, address, bytesMax)).toEqual(written.slice(index));
        }
      }
    });

    test('reads about as many bytes as it is asked for, and one entry at least', async () => {
      await fill(30, 300);
      const { entries, next } = await log.read(null, 1);
      expect(entries.length).toBeGreaterThanOrEqual(1);
      expect(next).not.toBeNull();
      const large = 'y'.repeat(3 * CONTRACT_SEGMENT_BYTES);
      const { addresses } = await log.append([entry(large)]);
      expect(await texts(log, addresses[0] ?? null, 1)).toEqual([large]);
    });

    test('serves many readers at a time, each from a place of its own', async () => {
      const written = await fill(240);
      const all = await readAll(log);
      expect(new Set(all.map(({ address }) => address.segment)).size).toBeGreaterThan(16);
      const places = all.filter((_, index) => index % 11 === 0).map(({ address, sequence }) => ({ address, sequence }));
      const found = await Promise.all(places.map(({ address }) => texts(log, address)));
      expect(found).toEqual(places.map(({ sequence }) => written.slice(sequence - 1)));
    });

    test('reads nothing at the end, and on from there once there is more', async () => {
      await fill(3);
      const { end } = log;
      expect(await log.read(end, 1000)).toEqual({ entries: [], next: null });
      await log.append([entry('more')]);
      expect(await texts(log, end)).toEqual(['more']);
    });

    test('refuses to read from a segment that it does not have', async () => {
      await fill(1);
      const error = await rejection(log.read({ segment: 99, position: 32 }, 1000));
      expect([error.code, error.message.includes('99')]).toEqual(['LOG_READ_FAILED', true]);
    });

    test('drops whole segments below a sequence, never the last', async () => {
      const written = await fill(40);
      const before = log.bytes;
      const all = await readAll(log);
      const second = [...new Set(all.map(({ address }) => address.segment))][1] as number;
      expect(await log.truncateBefore(second - 1)).toBe(0);
      expect(log.firstSequence).toBe(1);
      const freed = await log.truncateBefore(second);
      expect(freed).toBeGreaterThan(0);
      expect([log.firstSequence, log.bytes]).toEqual([second, before - freed]);
      expect(await texts(log)).toEqual(written.slice(second - 1));
      await log.truncateBefore(Number.MAX_SAFE_INTEGER);
      expect(log.firstSequence).toBeGreaterThan(second);
      expect(log.firstSequence).toBeLessThan(log.nextSequence);
      const left = await texts(log);
      expect(left).toEqual(written.slice(log.firstSequence - 1));
      log = await rig.reopen();
      expect(await texts(log)).toEqual(left);
      expect(log.nextSequence).toBe(41);
    });

    test('is the same after it is opened again, and goes on behind its last entry', async () => {
      const written = await fill(30);
      const { end, bytes, nextSequence } = log;
      log = await rig.reopen();
      expect([log.end, log.bytes, log.nextSequence, log.firstSequence]).toEqual([end, bytes, nextSequence, 1]);
      await log.append([entry('more')]);
      expect(await texts(log)).toEqual([...written, 'more']);
    });

    test('closes twice, lets go of every descriptor, and takes nothing afterwards', async () => {
      await fill(20);
      await readAll(log);
      await Promise.all([log.close(), log.close()]);
      await log.close();
      expect(rig.openFiles()).toBe(0);
      expect(() => log.append([entry('refused')])).toThrow(InvariantError);
    });

    test('closes behind the append under way', async () => {
      const held = rig.holdAppend();
      const appending = log.append([entry('held')]);
      let closed = false;
      const closing = log.close().then(() => {
        closed = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect(closed).toBe(false);
      held.release();
      await Promise.all([appending, closing]);
      log = await rig.reopen();
      expect(await texts(log)).toEqual(['held']);
    });
  });
}
