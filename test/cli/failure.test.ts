import { describe, expect, it } from 'vitest';
import { CommandFailure, errorText, exitCodeOf } from '../../src/cli/failure.ts';
import { BrokerError } from '../../src/errors.ts';

describe('errors of the command', () => {
  it('are a line with the code, and a hint where there is one', () => {
    expect(errorText('sluice x', new BrokerError('DATA_DIR_LOCKED', 'held by 12'), false)).toBe(
      'sluice x: DATA_DIR_LOCKED: held by 12\nStop that process first, or give this one another directory with --data.',
    );
    expect(errorText('sluice x', new CommandFailure('REFUSED', 'no', { hint: 'Do this.' }), false)).toBe(
      'sluice x: REFUSED: no\nDo this.',
    );
  });

  it('show their causes with --verbose only', () => {
    const error = new CommandFailure('REFUSED', 'no', { cause: new Error('because') });
    expect(errorText('x', error, false)).not.toContain('because');
    expect(errorText('x', error, true)).toMatch(/ {2}cause: because\n {4}at /);
    expect(errorText('x', new CommandFailure('REFUSED', 'no', { cause: 'a text' }), true)).toContain('cause: a text');
  });

  it('say when they were not foreseen', () => {
    expect(errorText('x', new TypeError('oops'), false)).toBe(
      'x: oops\nThis is not an error that was foreseen; --verbose shows where it comes from.',
    );
    expect(errorText('x', 'text', false)).toMatch(/^x: text\n/);
  });

  it('exit with 2 for a wrong command line, as told, or with 1', () => {
    expect(exitCodeOf(new CommandFailure('USAGE', ''))).toBe(2);
    expect(exitCodeOf(new CommandFailure('INTERRUPTED', '', { exit: 130 }))).toBe(130);
    expect(exitCodeOf(new Error('x'))).toBe(1);
  });
});
