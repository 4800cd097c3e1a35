import { describe, expect, it } from 'vitest';
import { errorOf } from '../../src/client/error.ts';
import { decodeFrame } from '../../src/client/frame.ts';
import type { ErrorReply } from '../../src/protocol/replies.ts';

describe('a frame of the broker', () => {
  it('reads from where it lies in its buffer', () => {
    const buffer = Buffer.concat([Buffer.from('..'), Buffer.from([0, 0, 0, 13]), Buffer.from('{"op":"pong"}body')]);
    const { reply, body } = decodeFrame(buffer.subarray(2));
    expect(reply).toEqual({ op: 'pong' });
    expect(Buffer.from(body).toString()).toBe('body');
  });

  it.each([
    ['shorter than its length field', Buffer.from([0, 0, 1])],
    ['whose header is longer than it', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7b, 0x7d])],
    ['whose header ends one byte behind it', Buffer.from([0, 0, 0, 3, 0x7b, 0x7d])],
  ])('%s is none', (_, bytes) => {
    expect(() => decodeFrame(bytes)).toThrow(RangeError);
  });
});

describe('an error of the broker', () => {
  it('keeps its code, and is BAD_REPLY without one', () => {
    const reply: ErrorReply = { op: 'error', code: 'OVERLOADED', retryable: true, message: 'later' };
    expect(errorOf(reply)).toMatchObject({ code: 'OVERLOADED', retryable: true, message: 'later' });
    const { code: _code, ...without } = reply;
    expect(errorOf(without as ErrorReply)).toMatchObject({ code: 'BAD_REPLY', retryable: false });
  });
});
