import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorTable } from '../../src/errors.ts';
import { CLOSE_REASON_BYTES_MAX, closeCodeTable, closeReason } from '../../src/protocol/close-code.ts';

describe('the close codes', () => {
  it('have every code of the error table', () => {
    const used = Object.values(errorTable).flatMap((row) => row.closeCode ?? []);
    expect(Object.keys(closeCodeTable).map(Number)).toEqual(expect.arrayContaining([...new Set(used)]));
  });

  it('ask to come back from 4100 on, and not below', () => {
    for (const [code, { comeBack }] of Object.entries(closeCodeTable)) {
      if (Number(code) >= 4000) expect([code, comeBack]).toEqual([code, Number(code) >= 4100]);
    }
  });

  it('ask to come back exactly where their error may be retried', () => {
    for (const { closeCode, retryable } of Object.values(errorTable)) {
      if (closeCode === undefined) continue;
      const row = closeCodeTable[closeCode as keyof typeof closeCodeTable];
      expect([closeCode, row.comeBack]).toEqual([closeCode, retryable]);
    }
  });
});

describe('the reason of a close', () => {
  it('is as given when it fits', () => {
    expect(closeReason('')).toBe('');
    expect(closeReason('x'.repeat(123))).toBe('x'.repeat(123));
    expect(closeReason(`${'é'.repeat(61)}x`)).toBe(`${'é'.repeat(61)}x`);
  });

  it.each([
    ['x'.repeat(124), 'x'.repeat(123)],
    [`${'é'.repeat(62)}`, 'é'.repeat(61)],
    [`x${'€'.repeat(41)}`, `x${'€'.repeat(40)}`],
    [`${'x'.repeat(120)}😀`, 'x'.repeat(120)],
    [`${'x'.repeat(119)}😀y`, `${'x'.repeat(119)}😀`],
  ])('is cut between two characters: %j', (text, expected) => {
    expect(closeReason(text)).toBe(expected);
  });

  it('always fits, and is where the text begins', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 20, maxLength: 150 }), (text) => {
        const reason = closeReason(text);
        expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(CLOSE_REASON_BYTES_MAX);
        expect(text.startsWith(reason)).toBe(true);
        if (reason !== text) expect(Buffer.byteLength(reason)).toBeGreaterThan(CLOSE_REASON_BYTES_MAX - 4);
      }),
    );
  });
});
