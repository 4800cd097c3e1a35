import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatMs, parseBytes, parseMs } from '../src/config-quantity.ts';

describe('sizes and durations as written', () => {
  it.each([
    ['0', 0],
    ['1', 1],
    ['500KB', 500_000],
    ['64MiB', 64 * 1024 * 1024],
    ['64 mib', 64 * 1024 * 1024],
    ['1.5GiB', 1536 * 1024 * 1024],
    ['12B', 12],
    ['1TB', 1e12],
  ])('reads the size %s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each([
    ['250ms', 250],
    ['20s', 20_000],
    ['1.1s', 1100],
    ['5m', 300_000],
    ['12h', 43_200_000],
    ['7d', 604_800_000],
    ['30', 30],
  ])('reads the duration %s', (text, ms) => expect(parseMs(text)).toBe(ms));

  it.each([
    '',
    ' ',
    '-1',
    '+1',
    '1e3',
    '0x10',
    'Infinity',
    'NaN',
    '1.',
    '.5',
    '1.5',
    '1.0001KB',
    '64M',
    '1 0',
    '99999999999999999',
    '9007199254740993',
    '9007200TB',
    '1s',
  ])('refuses %j as a size', (text) => expect(parseBytes(text)).toBeNull());

  it.each(['', '1.5', '0.0001s', '-1s', '1w', '1MiB', 'soon'])('refuses %j as a duration', (text) =>
    expect(parseMs(text)).toBeNull(),
  );

  it('reads back exactly what it writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(parseBytes(formatBytes(value))).toBe(value);
        expect(parseMs(formatMs(value))).toBe(value);
      }),
    );
    for (const value of [64 * 1024 * 1024, 500_000, 604_800_000]) {
      expect(parseBytes(formatBytes(value))).toBe(value);
      expect(parseMs(formatMs(value))).toBe(value);
    }
    expect([formatBytes(64 * 1024 * 1024), formatBytes(500_000), formatMs(604_800_000), formatMs(250)]).toEqual([
      '64MiB',
      '500KB',
      '7d',
      '250ms',
    ]);
  });
});
