import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { BrokerError, InvariantError } from '../src/errors.ts';
import { BUFFER_BYTES, createLogger, type LoggerOptions, type LogOutput } from '../src/logger.ts';
import { RecordingLogger } from '../src/testing/recording-logger.ts';

class Output implements LogOutput {
  text = '';
  writableLength = 0;
  isTTY = false;
  readonly #listeners = new Map<string, (error: Error) => void>();

  write(text: string): boolean {
    this.text += text;
    return true;
  }
  on(event: string, listener: (error: Error) => void): void {
    this.#listeners.set(event, listener);
  }
  once(event: string, listener: () => void): void {
    this.#listeners.set(event, listener);
  }
  emit(event: string, error = new Error('EPIPE')): void {
    this.#listeners.get(event)?.(error);
  }
  lines(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

function logged(options: Partial<LoggerOptions> = {}) {
  const output = new Output();
  return { output, logger: createLogger({ level: 'trace', output, clock: { now: () => 0 }, ...options }) };
}

describe('the logger', () => {
  test('writes a JSON object a line, with level, time, fields and message', () => {
    const { output, logger } = logged();
    logger.child({ shard: 3 }).info({ ms: 12 }, 'shard ready');
    expect(output.text).toBe(
      '{"level":"info","time":"1970-01-01T00:00:00.000Z","shard":3,"ms":12,"msg":"shard ready"}\n',
    );
  });

  test('writes nothing below its level, and nothing at all when silent', () => {
    const { output, logger } = logged({ level: 'warn' });
    logger.info('no');
    logger.warn('yes');
    expect(output.lines().map((line) => line['msg'])).toEqual(['yes']);
    const silent = logged({ level: 'silent' });
    silent.logger.error('no');
    expect(silent.output.text).toBe('');
  });

  test('writes one line for people when pretty, at once', () => {
    const { output, logger } = logged({ pretty: true });
    logger.warn({ shard: 1 }, 'slow disk');
    expect(output.text).toMatch(/^\[\d\d:\d\d:\d\d\.\d+\] WARN: slow disk \{"shard":1\}\n$/);
  });

  test('is pretty on a terminal only', () => {
    const output = Object.assign(new Output(), { isTTY: true });
    createLogger({ level: 'info', output }).info('hello');
    expect(output.text).toContain('hello');
    expect(output.text).not.toContain('{"level"');
  });

  test('never writes a token or a payload, at the top or within', () => {
    const { output, logger } = logged();
    const secret = 'hunter2';
    logger.info({ token: secret, authorization: secret, payload: secret }, 'a');
    logger.info({ config: { token: secret, adminToken: secret, port: 7070 } }, 'b');
    logger.info(
      { request: { headers: { authorization: secret } }, command: { value: secret, records: [secret] } },
      'c',
    );
    logger.child({ token: secret }).info('d');
    expect(output.text).not.toContain(secret);
    logger.info({ records: 12, batch: 3 }, 'counts stay');
    expect(output.lines().at(-1)).toMatchObject({ records: 12, batch: 3 });
    expect(output.lines()[1]?.['config']).toEqual({ token: '[redacted]', adminToken: '[redacted]', port: 7070 });
  });

  test('writes an error with its code and its causes, and a stack only for a defect', () => {
    const { output, logger } = logged();
    const cause = Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    logger.error({ error: new BrokerError('LOG_WRITE_FAILED', 'shard 2 cannot write', { cause }) }, 'shard failed');
    logger.error({ err: new InvariantError('sequence went back') }, 'defect');
    const [operating, defect] = output.lines();
    expect(operating?.['error']).toEqual({
      type: 'BrokerError',
      code: 'LOG_WRITE_FAILED',
      message: 'shard 2 cannot write',
      cause: { type: 'Error', code: 'ENOSPC', message: 'no space left' },
    });
    expect(defect?.['err']).toMatchObject({ type: 'InvariantError', stack: expect.stringContaining('logger.test') });
  });

  test('ends a ring of causes', () => {
    const { output, logger } = logged();
    const error: Error = new Error('ring');
    error.cause = error;
    logger.error({ error }, 'x');
    expect(output.lines()).toHaveLength(1);
  });

  test('drops lines while its reader is behind, and says how many once it is not', () => {
    const { output, logger } = logged();
    output.writableLength = BUFFER_BYTES + 1;
    for (let at = 0; at < 5; at += 1) logger.info('lost');
    expect(output.text).toBe('');
    output.writableLength = 0;
    output.emit('drain');
    logger.info('kept');
    expect(output.lines()).toMatchObject([{ dropped: 5, msg: 'log lines dropped' }, { msg: 'kept' }]);
  });

  test('goes on in silence when its reader has gone', () => {
    const { output, logger } = logged();
    output.emit('error');
    logger.info('nobody');
    expect(output.text).toBe('');
  });

  test('takes a Node stream as its output', async () => {
    const chunks: string[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk.toString());
        done();
      },
    });
    createLogger({ level: 'info', output: stream }).info('through a stream');
    expect(chunks.join('')).toContain('through a stream');
  });
});

describe('the recording logger', () => {
  test('keeps level, fields and message of every line, those of children included', () => {
    const logger = new RecordingLogger();
    logger.info('plain');
    logger.child({ shard: 1 }).child({ phase: 'flush' }).warn({ ms: 5 }, 'slow');
    expect(logger.lines).toEqual([
      { level: 'info', fields: {}, message: 'plain' },
      { level: 'warn', fields: { shard: 1, phase: 'flush', ms: 5 }, message: 'slow' },
    ]);
    expect(logger.messages('warn')).toEqual(['slow']);
  });
});
