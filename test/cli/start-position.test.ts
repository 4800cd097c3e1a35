import { describe, expect, it } from 'vitest';
import { parseFrom } from '../../src/cli/start-position.ts';

describe('parseFrom', () => {
  it.each([
    ['earliest', 'earliest'],
    ['latest', 'latest'],
    ['committed', 'committed'],
    ['offset:0', { offset: 0 }],
    ['offset:9007199254740991', { offset: Number.MAX_SAFE_INTEGER }],
    ['last:10', { last: 10 }],
    ['time:1700000000000', { time: 1_700_000_000_000 }],
    ['time:2026-01-31T12:00:00Z', { time: Date.UTC(2026, 0, 31, 12) }],
    ['time:2026-01-31T12:00+02:00', { time: Date.UTC(2026, 0, 31, 10) }],
    ['time:2026-01-31', { time: Date.UTC(2026, 0, 31) }],
  ])('reads %s', (text, from) => expect(parseFrom(text)).toEqual(from));

  it.each([
    '',
    'first',
    'Earliest',
    'offset',
    'offset:',
    'offset:-1',
    'offset:1.5',
    'offset:9007199254740993',
    'last:0',
    'time:',
    'time:yesterday',
    'time:2026-13-01',
    ':5',
  ])('refuses %j', (text) => expect(parseFrom(text)).toBeNull());
});
