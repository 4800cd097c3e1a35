/** Recordings in memory, in a file and by the command, and how they open again. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createActor, createMachine } from 'xstate';
import { createBroker } from '../../src/broker.ts';
import { record } from '../../src/cli/record.ts';
import { replay } from '../../src/cli/replay.ts';
import { readRecording } from '../../src/console/recording-file.ts';
import type { Batch } from '../../src/inspection/frames.ts';
import { InspectionHub } from '../../src/inspection/hub.ts';
import { record as recordActor } from '../../src/inspection/inspect.ts';
import { FileRecording, MemoryRecording, recordingFault } from '../../src/inspection/recording.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordingLogger } from '../../src/testing/index.ts';
import { type FakeTerminal, fakeTerminal } from '../cli/fake-terminal.ts';
import { temporaryFolder } from '../support/broker-process.ts';

const blinker = createMachine({
  id: 'blinker',
  initial: 'on',
  states: { on: { on: { go: 'off' } }, off: { on: { go: 'on' } } },
});

function hubOf(): { readonly hub: InspectionHub; readonly go: () => void } {
  const actor = createActor(blinker).start();
  const hub = new InspectionHub({
    source: { name: 'toy', version: '1', pid: 1, startedAt: 0, host: 'here' },
    actor: () => actor,
    may: { send: false, act: false },
    clock: systemClock,
    facts: null,
    crowd: null,
    failed: (error) => {
      throw error;
    },
  });
  return { hub, go: () => actor.send({ type: 'go' }) };
}

async function folder(): Promise<string> {
  const made = await temporaryFolder();
  onTestFinished(() => made.remove());
  return made.path;
}

function batchesOf(text: string): Batch[] {
  const [header = '', ...lines] = text.trimEnd().split('\n');
  expect(recordingFault(header)).toBeNull();
  return lines.map((line) => JSON.parse(line) as Batch);
}

async function* inPieces(text: string): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += 1000) yield text.slice(at, at + 1000);
}

describe('a recording', () => {
  it('in memory has what a viewer would have been told, and the console reads it', async () => {
    const { hub, go } = hubOf();
    const recording = new MemoryRecording();
    const seat = hub.join(recording);
    go();
    await pause(80);
    seat.leave('the test is over');
    const frames = batchesOf(recording.text).flatMap((batch) => batch.frames);
    expect(frames.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['hello', 'machine', 'actor', 'event', 'step', 'end']),
    );
    const read = await readRecording(inPieces(recording.text));
    expect(read.empty).toBe(false);
  });

  it('in memory stops at its bound and says so', () => {
    const recording = new MemoryRecording(1000);
    for (let n = 0; n < 100; n += 1) recording.send('{"v":1}'.padEnd(50));
    expect(recording.full).toBe(true);
    expect(recording.text.length).toBeLessThanOrEqual(1001);
  });

  it('in a file is whole once it has ended', async () => {
    const path = join(await folder(), 'run.jsonl');
    const { hub, go } = hubOf();
    const recording = await FileRecording.create(path);
    const seat = hub.join(recording);
    for (let n = 0; n < 500; n += 1) go();
    await pause(80);
    seat.leave('done');
    await recording.end();
    const text = await readFile(path, 'utf8');
    const frames = batchesOf(text).flatMap((batch) => batch.frames);
    expect(frames.filter(({ type }) => type === 'event')).toHaveLength(500);
    expect(Buffer.byteLength(text)).toBe(recording.bytes);
  });

  it('never writes over a file', async () => {
    const path = join(await folder(), 'precious');
    await writeFile(path, 'kept');
    await expect(FileRecording.create(path)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await readFile(path, 'utf8')).toBe('kept');
  });

  it.each([
    ['', /first line/],
    ['null', /first line/],
    ['{"sluice":"recording","v":2}', /of version 2/],
    ['{"frame":"recording"}', /first line/],
  ])('is not what begins with %j', (line, fault) => {
    expect(recordingFault(line)).toMatch(fault);
  });
});

describe('sluice record and sluice replay', () => {
  const said = async (terminal: FakeTerminal): Promise<string> => {
    await terminal.stdout.finish();
    await terminal.stderr.finish();
    return `${terminal.out.bytes}${terminal.err.bytes}`;
  };

  async function broker(adminToken = '') {
    const data = await folder();
    const config = { data, port: 0, adminPort: 0, shards: 2, reserveBytes: 0, gracePeriodMs: 8000, adminToken };
    const made = createBroker(config, { logger: new RecordingLogger() });
    onTestFinished(async () => void (await made.stop({ mode: 'fast' })));
    await made.start();
    const environment = { SLUICE_ADMIN_URL: `http://127.0.0.1:${made.adminPort}`, SLUICE_ADMIN_TOKEN: adminToken };
    return { made, terminal: () => fakeTerminal({ environment, WebSocket }) };
  }

  it('record the whole of a shutdown, behind a token too', async () => {
    const path = join(await folder(), 'stop.jsonl');
    const { made, terminal } = await broker('tok');
    const running = terminal();
    const done = record.run(['--output', path], running);
    await until(async () => (await readFile(path, 'utf8').catch(() => '')).includes('"facts"'));
    await made.stop();
    expect(await done).toBe(0);
    expect(await said(running)).toMatch(/batches, .*stop\.jsonl/);
    const text = await readFile(path, 'utf8');
    const frames = batchesOf(text).flatMap((batch) => batch.frames);
    expect(frames.at(-1)?.type).toBe('end');
    expect(JSON.stringify(frames.filter(({ type }) => type === 'step'))).toMatch(/draining.*flushing.*released/);
    expect((await readRecording(inPieces(text))).empty).toBe(false);
  });

  it('record until it is told to stop', async () => {
    const path = join(await folder(), 'a.jsonl');
    const { terminal } = await broker();
    const running = terminal();
    const done = record.run(['--output', path], running);
    await until(async () => (await readFile(path, 'utf8').catch(() => '')).includes('"facts"'));
    running.signal('SIGINT');
    expect(await done).toBe(0);
    expect(batchesOf(await readFile(path, 'utf8')).length).toBeGreaterThan(0);
  });

  it('record so many seconds', async () => {
    const path = join(await folder(), 'a.jsonl');
    const { terminal } = await broker();
    expect(await record.run(['--output', path, '--seconds', '1'], terminal())).toBe(0);
    expect(batchesOf(await readFile(path, 'utf8')).length).toBeGreaterThan(0);
  });

  it('record says what is wrong before it makes a file', async () => {
    const path = join(await folder(), 'a.jsonl');
    const { terminal } = await broker('tok');
    await expect(record.run([], terminal())).rejects.toMatchObject({ code: 'USAGE' });
    const other = fakeTerminal({
      environment: { ...terminal().environment, SLUICE_ADMIN_TOKEN: 'wrong' },
      WebSocket,
    } as never);
    await expect(record.run(['--output', path], other)).rejects.toMatchObject({ code: 'UNEXPECTED_ANSWER' });
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await writeFile(path, 'kept');
    await expect(record.run(['--output', path], terminal())).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(/is there already/),
    });
  });

  it('replay serves the page and the recording on a free port until Ctrl-C', async () => {
    const path = join(await folder(), 'a.jsonl');
    await writeFile(path, '{"sluice":"recording","v":1}\n{"v":1,"seq":0,"at":1,"dropped":0,"frames":[]}\n');
    const terminal = fakeTerminal();
    const done = replay.run([path], terminal);
    await until(async () => terminal.out.bytes.length > 0);
    const url = terminal.out.bytes.toString().trim();
    const page = await fetch(url, { headers: { accept: 'text/html' } });
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('content-security-policy')).toContain("connect-src 'self';");
    expect((await fetch(`${url}status`)).status).toBe(404);
    expect(await (await fetch(`${url}recording.jsonl`)).text()).toBe(await readFile(path, 'utf8'));
    const foreign = await fetch(`${url}recording.jsonl`, { headers: { origin: 'https://evil.example' } });
    expect(foreign.status).toBe(403);
    terminal.signal('SIGINT');
    expect(await done).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  it('replay draws the charts of a recording that ended before they were drawn', async () => {
    const path = join(await folder(), 'short.jsonl');
    const recording = await FileRecording.create(path);
    const actor = createActor(blinker).start();
    const recorder = recordActor(actor, recording);
    actor.send({ type: 'go' });
    recorder.stop();
    await recording.end();
    // As a kill leaves it.
    await appendFile(path, '{"v":1,"seq":7,"at":');
    const terminal = fakeTerminal();
    const done = replay.run([path], terminal);
    await until(async () => terminal.out.bytes.length > 0);
    const text = await (await fetch(`${terminal.out.bytes.toString().trim()}recording.jsonl`)).text();
    terminal.signal('SIGINT');
    expect(await done).toBe(0);
    const machines = batchesOf(text).flatMap(({ frames }) => frames.filter(({ type }) => type === 'machine'));
    expect(machines.map((frame) => frame.type === 'machine' && frame.picture.includes('data-state="off"'))).toEqual([
      false,
      true,
    ]);
    expect((await readRecording(inPieces(text))).machines.size).toBe(1);
  });

  it.each([
    ['', /is empty/],
    ['{"a":1}\n', /first line is not/],
    ['x'.repeat(100_000), /first line is not/],
    ['{"sluice":"recording","v":9}\n', /of version 9/],
  ])('replay refuses a file that begins with %.20s', async (text, fault) => {
    const path = join(await folder(), 'a.jsonl');
    await writeFile(path, text);
    await expect(replay.run([path], fakeTerminal())).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(fault),
    });
  });

  it('replay says that a file is not there', async () => {
    await expect(replay.run([join(await folder(), 'no')], fakeTerminal())).rejects.toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringMatching(/ENOENT/),
    });
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 400; n += 1) {
    if (await holds()) return;
    await pause(25);
  }
  throw new Error('not within 10 s');
}
