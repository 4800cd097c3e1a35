/** A recording of a simulated run opens in the console, and changes nothing of the run. */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { replay } from '../../src/cli/replay.ts';
import { readRecording } from '../../src/console/recording-file.ts';
import type { Batch, Frame } from '../../src/inspection/frames.ts';
import { fakeTerminal } from '../cli/fake-terminal.ts';
import { makePlan } from './plan-maker.ts';
import { Recording } from './recording.ts';
import { type Run, run } from './simulate.ts';

/** A plan in which brokers are killed and stopped. */
const SEED = 3;

let file: string;
let recorded: Run;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-recording-'));
  file = join(folder, 'run.jsonl');
  const plan = makePlan(SEED);
  const recording = new Recording(`${SEED}`);
  recorded = await run(plan, { recording });
  await recording.write(file, { plan, ...recorded });
  return () => rm(folder, { recursive: true, force: true });
}, 120_000);

async function batches(): Promise<Batch[]> {
  const chunks: string[] = [];
  for await (const chunk of createReadStream(file, 'utf8')) chunks.push(chunk as string);
  const [, ...lines] = chunks.join('').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Batch);
}

function of<T extends Frame['type']>(frames: readonly Frame[], type: T): Extract<Frame, { readonly type: T }>[] {
  return frames.filter((frame): frame is Extract<Frame, { readonly type: T }> => frame.type === type);
}

describe('a recording of a simulated run', { timeout: 60_000 }, () => {
  it('leaves the run as it is without one', async () => {
    expect(recorded.violations).toEqual([]);
    expect((await run(makePlan(SEED))).hash).toBe(recorded.hash);
  });

  it('goes forward in simulated time, and counts its batches', async () => {
    const all = await batches();
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index));
    const times = all.map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const tookMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
    expect(Math.abs(tookMs - recorded.simulatedMs)).toBeLessThan(1000);
  });

  it('has every broker process from its start to its end, its actors gone with it', async () => {
    const frames = (await batches()).flatMap((batch) => batch.frames);
    const started = recorded.history.filter(({ e }) => e === 'start').length;
    expect(started).toBeGreaterThan(1);
    expect(of(frames, 'hello').map(({ source }) => source.pid)).toEqual(
      Array.from({ length: started + 1 }, (_, n) => n),
    );
    const ends = of(frames, 'end').map(({ reason }) => reason);
    expect(ends).toContain('kill');
    expect(ends.slice(-2)).toEqual(['it stopped: clean', 'the run is over']);
    const there = new Set<string>();
    for (const frame of frames) {
      if (frame.type === 'actor') there.add(frame.id);
      if (frame.type === 'gone') there.delete(frame.id);
    }
    expect([...there]).toEqual(['simulation']);
  });

  it('has each chart once, drawn, the sessions, and the history of the run as events', async () => {
    const frames = (await batches()).flatMap((batch) => batch.frames);
    const machines = of(frames, 'machine');
    expect(machines.map(({ id }) => id).sort()).toEqual(['gateway', 'session', 'shard', 'supervisor']);
    for (const { picture } of machines) expect(picture).toContain('data-state=');
    expect(of(frames, 'actor').some(({ id }) => id.startsWith('session:'))).toBe(true);
    const told = of(frames, 'event').filter(({ to }) => to === 'simulation');
    expect(told).toHaveLength(recorded.history.length);
    expect(told.filter(({ event }) => event.type === 'stored').length).toBeGreaterThan(0);
    expect(told.some(({ event }) => event.type.startsWith('step.'))).toBe(true);
  });

  it('opens in the console, which shows a shard on its way through the last stop', async () => {
    const recording = await readRecording(createReadStream(file, 'utf8'));
    const values: string[] = [];
    for (const { at } of await batches()) {
      const shown = recording.worldAt(at);
      const shard = [...(shown?.world.actors.values() ?? [])].find(({ name, gone }) => name === 'shard-00' && !gone);
      const value = typeof shard?.value === 'string' ? shard.value : Object.keys(shard?.value ?? {})[0];
      if (value !== undefined && value !== values.at(-1)) values.push(value);
    }
    expect(values).toContain('running');
    expect(values.at(-1)).toBe('released');
  });

  it('is served by sluice replay', async () => {
    const terminal = fakeTerminal();
    const done = replay.run([file], terminal);
    onTestFinished(async () => {
      terminal.signal('SIGINT');
      expect(await done).toBe(0);
    });
    await expect.poll(() => terminal.out.bytes.length, { timeout: 10_000 }).toBeGreaterThan(0);
    const url = terminal.out.bytes.toString().trim();
    expect((await fetch(`${url}recording.jsonl`)).status).toBe(200);
  });
});
