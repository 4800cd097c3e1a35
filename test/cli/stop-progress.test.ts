import { describe, expect, it } from 'vitest';
import { type ShardView, shutdownView } from '../../src/cli/shutdown-view.ts';
import { frameLines, StopProgress } from '../../src/cli/stop-progress.ts';
import { fakeTerminal, Sink } from './fake-terminal.ts';

const shard = (id: number, fields: object = {}): object => ({
  id: `shard-0${id}`,
  state: 'ready',
  operation: 'write',
  operationMs: 1500,
  pendingBytes: 3_000_000,
  flushedBytes: 1_000_000,
  detail: null,
  ...fields,
});
const flushing = { phase: 'flushing', phaseMs: 1200, phaseBudgetMs: 8000, deadlineMs: 20_100, etaMs: 4000 };
const released = { state: 'released', operation: null, operationMs: null, pendingBytes: 0, flushedBytes: 0 };
const nobody = new Set<string>();

function frame(answer: object, stalled: ReadonlySet<string> = nobody, columns = 100, rows = 24): readonly string[] {
  return frameLines(shutdownView({ ...answer }), stalled, columns, rows);
}

/** A terminal whose clock the test moves, with or without a screen. */
function clocked(screen: boolean) {
  const told = { now: 0 };
  const drawn = Object.assign(new Sink(), { columns: 80, rows: 24 });
  const progressStream = screen ? (drawn as unknown as NodeJS.WriteStream) : null;
  const terminal = { ...fakeTerminal(), now: () => told.now, progressStream };
  return { told, drawn, terminal, text: () => drawn.bytes.toString(), lines: () => terminal.err.bytes.toString() };
}

describe('a frame', () => {
  it('has the phase with its budget, what is left, and a bar for each shard', () => {
    const shards = [
      shard(0),
      shard(1, released),
      shard(2, { state: 'failed', detail: 'write: EIO' }),
      shard(3, { ...released, state: 'drained', operation: 'wait for the flush', operationMs: 40 }),
    ];
    expect(frame({ ...flushing, pendingBytes: 3_000_000, sessions: 12, shards })).toEqual([
      'flushing 1.2 s of 8.0 s | 3.00 MB to flush, about 4.0 s | 12 clients | 20.1 s left',
      'shard-00  ██████░░░░░░░░░░░░░░░░░░  25%  1.00 MB of 4.00 MB  write, 1.5 s',
      'shard-01  ████████████████████████ 100%  released',
      'shard-02  failed: write: EIO',
      'shard-03  ░░░░░░░░░░░░░░░░░░░░░░░░   0%  wait for the flush, 40 ms',
    ]);
  });

  it('leaves out what there is not, and what a broker of another version does not tell', () => {
    expect(frame({ phase: 'draining', phaseMs: 10, etaMs: null, pendingBytes: 0, sessions: 1 })).toEqual([
      'draining 10 ms | 1 client',
    ]);
    expect(frame({ phase: 'draining', pendingBytes: 5, etaMs: null })).toEqual(['draining | 5 B to flush']);
    expect(frame({ shards: [{ id: 'shard-00' }, { id: 7 }, null, 'x'] })).toEqual([
      'unknown',
      'shard-00  ░░░░░░░░░░░░░░░░░░░░░░░░   0%  unknown',
    ]);
    expect(frame({ phase: 'draining', shards: 'none' })).toEqual(['draining']);
  });

  it('says who is stalled, and in what', () => {
    expect(frame({ ...flushing, shards: [shard(0)] }, new Set(['shard-00']))[1]).toContain('stalled: write, 1.5 s');
  });

  it('is never full before all is flushed', () => {
    const [, line] = frame({ ...flushing, shards: [shard(0, { pendingBytes: 1, flushedBytes: 999_999 })] });
    expect(line).toContain(' 99%');
    expect(line).toContain('░ ');
  });

  it('fits the terminal: no line is wider, and those with most to do are shown', () => {
    const shards = Array.from({ length: 64 }, (_, n) => {
      return n < 60
        ? { ...shard(0), ...released, id: `shard-${n}` }
        : { ...shard(0), id: `shard-${n}`, pendingBytes: n };
    });
    const lines = frame({ ...flushing, shards }, nobody, 40, 8);
    expect(lines.length).toBeLessThan(8);
    for (const line of lines) expect(line.length).toBeLessThan(40);
    expect(lines.slice(1, 6).map((line) => line.split(' ')[0])).toEqual([
      'shard-0',
      'shard-60',
      'shard-61',
      'shard-62',
      'shard-63',
    ]);
    expect(lines.at(-1)).toBe('and 59 more');
    expect(frame({ ...flushing, shards }, nobody, 1, 1).length).toBe(3);
  });
});

describe('on a terminal', () => {
  it('redraws in place, in one write each, and takes the frame away at the end', async () => {
    const { terminal, drawn, text } = clocked(true);
    const progress = new StopProgress(terminal);
    await progress.show(shutdownView({ ...flushing, shards: [shard(0)] }));
    await progress.show(shutdownView({ ...flushing, shards: [shard(0, released)] }));
    progress.end();
    progress.end();
    expect(drawn.chunks).toHaveLength(3);
    const [first = '', second = '', last = ''] = drawn.chunks.map(String);
    expect(first.split('\n')).toHaveLength(3);
    expect(first).not.toContain('\u001b');
    // Two lines up, to the left, and all below is gone.
    expect(second.startsWith('\u001b[2A\r\u001b[J')).toBe(true);
    expect(last).toBe('\u001b[2A\r\u001b[J');
    expect(text()).toContain('released');
    expect(terminal.err.bytes.length).toBe(0);
  });

  it('leaves an answer that tells nothing undrawn', async () => {
    const { terminal, drawn } = clocked(true);
    await new StopProgress(terminal).show(shutdownView({}));
    expect(drawn.chunks).toEqual([]);
  });
});

describe('elsewhere', () => {
  it('prints a line for each phase and each change of a shard, and nothing twice', async () => {
    const { told, terminal, lines } = clocked(false);
    const progress = new StopProgress(terminal);
    for (const [now, answer] of [
      [0, { phase: 'draining', phaseBudgetMs: 5000, shards: [shard(0), shard(1)] }],
      [100, { phase: 'draining', phaseBudgetMs: 5000, shards: [shard(0), shard(1, { state: 'drained' })] }],
      [200, { phase: 'draining', phaseBudgetMs: 5000, shards: [shard(0), shard(1, { state: 'drained' })] }],
      [300, {}],
      [400, { phase: 'flushing', shards: [shard(0, { state: 'failed', detail: 'write: EIO' }), shard(1, released)] }],
    ] as const) {
      told.now = now;
      await progress.show(shutdownView({ ...answer }));
    }
    progress.end();
    expect(lines().split('\n')).toEqual([
      '    0 ms  draining  of at most 5.0 s',
      '  100 ms  shard-01  drained',
      '  400 ms  flushing',
      '  400 ms  shard-00  failed  write: EIO',
      '  400 ms  shard-01  released',
      '',
    ]);
  });

  it('calls a shard stalled once nothing of it moved for two seconds, and takes that back when it moves', async () => {
    const { told, terminal, lines } = clocked(false);
    const progress = new StopProgress(terminal);
    const at = async (now: number, fields: Partial<ShardView>): Promise<void> => {
      told.now = now;
      const resting = shard(1, { operation: 'wait for the flush' });
      await progress.show(shutdownView({ phase: 'flushing', shards: [shard(0, fields), resting] }));
    };
    await at(0, {});
    // Time in it goes by itself and is no movement.
    await at(1999, { operationMs: 3499 });
    expect(lines()).not.toContain('stalled');
    await at(2000, { operationMs: 3500 });
    await at(3000, { operationMs: 4500 });
    await at(3100, { flushedBytes: 2_000_000 });
    expect(lines().split('\n')).toEqual([
      '    0 ms  flushing',
      '   2.0 s  shard-00  stalled  write, 3.5 s',
      '   3.1 s  shard-00  ready',
      '',
    ]);
  });
});
