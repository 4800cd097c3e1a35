import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Published, Reply } from '../../src/protocol/replies.ts';
import { encodeReply } from '../../src/protocol/reply-encoder.ts';

const published: fc.Arbitrary<Published> = fc.record(
  {
    op: fc.constant('published' as const),
    id: fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeNat(),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('"', '\\', '\u2028', '\ud800'),
    ),
    topic: fc.stringMatching(/^[A-Za-z0-9_-]{1,9}(\.[a-z]{1,3})?$/),
    partition: fc.nat(1023),
    epoch: fc.nat(),
    offset: fc.maxSafeNat(),
    count: fc.nat(),
    duplicate: fc.constant(true as const),
  },
  { requiredKeys: ['op', 'topic', 'partition', 'epoch', 'offset', 'count'] },
);

describe('a reply', () => {
  it('is written by hand as JSON.stringify writes it', () => {
    fc.assert(
      fc.property(published, (reply) => {
        const ordered = JSON.stringify(reply, [
          'op',
          'id',
          'topic',
          'partition',
          'epoch',
          'offset',
          'count',
          'duplicate',
        ]);
        expect(encodeReply(reply)).toBe(ordered);
      }),
      { numRuns: 1000 },
    );
  });

  it.each<[Reply, string]>([
    [{ op: 'pong' }, '{"op":"pong"}'],
    [{ op: 'pong', id: 'a"b' }, '{"op":"pong","id":"a\\"b"}'],
    [
      {
        op: 'published',
        acks: [
          [1, 0, 1, 17, 2],
          [null, 3, 1, 4, 1, 1],
        ],
      },
      '{"op":"published","acks":[[1,0,1,17,2],[null,3,1,4,1,1]]}',
    ],
    [
      { op: 'published', id: 3, topic: 't', count: 1, positions: [{ partition: 0, offset: 2, epoch: 1 }] },
      '{"op":"published","id":3,"topic":"t","count":1,"positions":[{"partition":0,"offset":2,"epoch":1}]}',
    ],
    [
      { op: 'error', id: 2, code: 'DRAINING', retryable: true, retryAfterMs: 1200, message: 'later' },
      '{"op":"error","id":2,"code":"DRAINING","retryable":true,"retryAfterMs":1200,"message":"later"}',
    ],
  ])('is %j on the wire', (reply, text) => {
    expect(encodeReply(reply)).toBe(text);
  });
});
