import { describe, expect, it } from 'vitest';
import {
  assert,
  BrokerError,
  type ErrorCode,
  errorTable,
  InvariantError,
  messageOf,
  systemCodeOf,
} from '../src/errors.ts';

const rows = Object.entries(errorTable);

describe('the error table', () => {
  it.each(rows)('%s has a name in capitals and a meaning in one line', (code, row) => {
    expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    expect(row.meaning).toMatch(/^[A-Z][^\n]*\.$/);
  });

  it.each(rows.filter(([, row]) => row.closeCode !== undefined))('%s closes with a code that may be sent', (_, row) => {
    const code = row.closeCode as number;
    expect([1002, 1007, 1008, 1009, 1011, 1013].includes(code) || (code >= 4000 && code < 4200)).toBe(true);
    expect(row.where).toBe('wire');
  });

  it('asks to come back by 4100–4199 exactly where a retry may succeed', () => {
    for (const [code, { closeCode, retryable }] of rows) {
      if (closeCode === undefined || closeCode < 4000) continue;
      expect([code, closeCode >= 4100]).toEqual([code, retryable]);
    }
  });

  it('gives no close code of Sluice’s own to two errors', () => {
    const own = rows.map(([, row]) => row.closeCode).filter((code) => code !== undefined && code >= 4000);
    expect(new Set(own).size).toBe(own.length);
  });
});

describe('a broker error', () => {
  it('takes retryability and close code from its row', () => {
    const codes = Object.keys(errorTable) as ErrorCode[];
    for (const code of codes) {
      const error = new BrokerError(code, 'why');
      expect([error.code, error.retryable, error.closeCode]).toEqual([
        code,
        errorTable[code].retryable,
        errorTable[code].closeCode,
      ]);
    }
  });

  it('passes through `from` as it is, and wraps anything else with its cause', () => {
    const known = new BrokerError('DISK_FULL', 'full');
    expect(BrokerError.from(known, 'INTERNAL', 'unexpected')).toBe(known);
    const cause = new TypeError('odd');
    const wrapped = BrokerError.from(cause, 'INTERNAL', 'reading failed');
    expect(wrapped).toMatchObject({ code: 'INTERNAL', message: 'reading failed: odd', cause });
    expect(BrokerError.from('text', 'INTERNAL', 'reading failed').message).toBe('reading failed: text');
  });

  it('has no own `cause` when there is none', () => {
    expect(Object.hasOwn(new BrokerError('INTERNAL', 'x'), 'cause')).toBe(false);
  });
});

describe('the system code of an error', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });

  it('is found among its causes', () => {
    expect(systemCodeOf(full)).toBe('ENOSPC');
    expect(systemCodeOf(new BrokerError('LOG_WRITE_FAILED', 'x', { cause: full }))).toBe('ENOSPC');
  });

  it('is not the code of a broker error, nor of anything that is no error', () => {
    expect(systemCodeOf(new BrokerError('INTERNAL', 'x'))).toBeUndefined();
    expect(systemCodeOf('ENOSPC')).toBeUndefined();
    expect(systemCodeOf(undefined)).toBeUndefined();
  });

  it('is looked for in bounded steps, even where an error is its own cause', () => {
    const circular = new Error('round') as Error & { cause: unknown };
    circular.cause = circular;
    expect(systemCodeOf(circular)).toBeUndefined();
  });
});

describe('an assertion', () => {
  it('throws an InvariantError, which is no operating error', () => {
    expect(() => assert(false, 'never')).toThrow(InvariantError);
    expect(() => assert(1, 'fine')).not.toThrow();
    expect(messageOf(new InvariantError('never'))).toBe('never');
  });
});
