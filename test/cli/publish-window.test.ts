import { describe, expect, it } from 'vitest';
import { plainRecord } from '../../src/cli/input-record.ts';
import { progressLine } from '../../src/cli/progress.ts';
import { PublishWindow, WINDOW_BYTES_MAX, WINDOW_RECORDS_MAX } from '../../src/cli/publish-window.ts';

const record = (bytes: number, place = 'f:1') =>
  plainRecord(Buffer.alloc(bytes, 'x'), { key: null, headers: null }, place);
const turn = () => new Promise(setImmediate);

async function state(promise: Promise<void>): Promise<'waiting' | 'done'> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await turn();
  return done ? 'done' : 'waiting';
}

describe('PublishWindow', () => {
  it('has room until so many records or bytes are out, and again when one is answered', async () => {
    for (const [count, bytes] of [
      [WINDOW_RECORDS_MAX, 1],
      [8, WINDOW_BYTES_MAX / 8],
    ] as const) {
      const window = new PublishWindow();
      const answers: ((ack: { duplicate: boolean }) => void)[] = [];
      for (let index = 0; index < count; index += 1) {
        expect(window.outstanding).toBe(index);
        window.add(record(bytes), new Promise((resolve) => answers.push(resolve)));
      }
      const room = window.room();
      expect(await state(room)).toBe('waiting');
      answers[0]?.({ duplicate: false });
      expect(await state(room)).toBe('done');
    }
  });

  it('is settled when every record has its answer, of whatever kind', async () => {
    const window = new PublishWindow();
    window.add(record(2), Promise.resolve({ duplicate: true }));
    window.add(record(3, 'f:2'), Promise.reject(Object.assign(new Error('no'), { code: 'RECORD_TOO_LARGE' })));
    window.add(record(4, 'f:3'), Promise.reject(Object.assign(new Error('?'), { code: 'OUTCOME_UNKNOWN' })));
    await window.settled();
    expect([window.acked, window.ackedBytes, window.duplicates, window.refused, window.unknown]).toEqual([
      1, 2, 1, 1, 1,
    ]);
    expect(window.firstRefusal?.place).toBe('f:2');
  });

  it('tells after each answer', async () => {
    let calls = 0;
    const window = new PublishWindow(() => {
      calls += 1;
    });
    window.add(record(1), Promise.resolve({}));
    window.add(record(1), Promise.resolve({}));
    await window.settled();
    expect(calls).toBe(2);
  });

  it('is shown as records, rate and acks outstanding', async () => {
    const window = new PublishWindow();
    window.add(record(2_000_000), Promise.resolve({}));
    await window.settled();
    window.add(record(1), new Promise(() => {}));
    expect(progressLine(window, 500)).toBe('1 records | 4.00 MB/s | 1 acks outstanding');
  });
});
