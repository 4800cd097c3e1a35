/** The log in memory: the contract, and its faults. */
import { describe, expect, test } from 'vitest';
import { systemCodeOf } from '../../src/errors.ts';
import { MemoryLog } from '../../src/storage/memory-log.ts';
import { CONTRACT_SEGMENT_BYTES, entry, logContract, rejection, texts } from './log-contract.ts';

logContract('in memory', async () => {
  let log = new MemoryLog({ segmentBytes: CONTRACT_SEGMENT_BYTES });
  return {
    log,
    failAppend: (systemCode) => log.failAppend(systemCode, 1),
    holdAppend: () => log.holdAppend(),
    landLate: async () => {},
    reopen: async () => {
      await log.close();
      log = log.reopened();
      return log;
    },
    openFiles: () => 0,
    dispose: async () => {},
  };
});

describe('the faults of the log in memory', () => {
  test('finds after a restart what a failed append left, unless a segment was begun behind it', async () => {
    const log = new MemoryLog();
    await log.append([entry('kept')]);
    log.failAppend('EIO', 1);
    await rejection(log.append([entry('landed'), entry('lost')]));
    expect(await texts(log.reopened())).toEqual(['kept', 'landed']);
    await log.rollOver();
    expect(await texts(log.reopened())).toEqual(['kept']);
  });

  test('fails a held append when it is told to', async () => {
    const log = new MemoryLog();
    const held = log.holdAppend();
    const appending = log.append([entry('held')]);
    held.fail('EIO');
    expect(systemCodeOf(await rejection(appending))).toBe('EIO');
  });

  test('fails a roll-over and stays fenced, fails a read and reads again', async () => {
    const log = new MemoryLog();
    await log.append([entry('kept')]);
    log.failAppend('EIO');
    await rejection(log.append([entry('lost')]));
    log.failRollOver('ENOSPC');
    expect((await rejection(log.rollOver())).code).toBe('LOG_WRITE_FAILED');
    expect(log.fenced).toBe(true);
    await log.rollOver();
    log.failRead('EIO');
    expect((await rejection(log.read(null, 1000))).code).toBe('LOG_READ_FAILED');
    expect(await texts(log)).toEqual(['kept']);
  });

  test('reads from where an entry begins, and calls any other place damage', async () => {
    const log = new MemoryLog();
    const { addresses } = await log.append([entry('one'), entry('two')]);
    const [, second] = addresses;
    const error = await rejection(log.read({ segment: 1, position: (second?.position ?? 0) - 1 }, 1000));
    expect([error.code, error.message]).toEqual([
      'LOG_CORRUPT',
      `no entry begins at position ${(second?.position ?? 0) - 1} of segment 1`,
    ]);
  });

  test('counts the groups that it was given, failed ones included', async () => {
    const log = new MemoryLog();
    await log.append([entry('one')]);
    log.failAppend('EIO');
    await rejection(log.append([entry('two')]));
    expect(log.appends).toBe(2);
  });

  test('says what failed, in words', async () => {
    const log = new MemoryLog();
    log.failRead('EIO');
    expect((await rejection(log.read(null, 1))).message).toBe('the log in memory cannot be read: EIO: simulated');
    await expect(log.rollOver()).rejects.toThrow('only a fenced log rolls over');
    log.failAppend('ENOSPC');
    expect((await rejection(log.append([entry('one')]))).message).toBe(
      'the log in memory cannot be written: ENOSPC: simulated',
    );
    expect(() => log.append([entry('one')])).toThrow('the log is fenced: roll over first');
    log.failRollOver('EIO');
    expect((await rejection(log.rollOver())).message).toBe('no new segment can be made in memory: EIO: simulated');
    await log.close();
    expect(() => log.append([entry('one')])).toThrow('the log is closed');
  });
});
