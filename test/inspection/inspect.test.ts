/** `sluice/inspect`: the console for anybody's actor system. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { createActor, createMachine } from 'xstate';
import { type InspectOptions, inspect } from '../../src/inspection/index.ts';
import { temporaryFolder } from '../support/broker-process.ts';
import { InspectClient, type InspectOptions as ViewOptions } from './inspect-client.ts';

const light = createMachine({
  id: 'light',
  initial: 'red',
  states: { red: { on: { next: 'green' } }, green: { after: { 60000: 'red' }, on: { next: 'red' } } },
});

const viewers: InspectClient[] = [];

afterEach(async () => {
  await Promise.all(viewers.splice(0).map((viewer) => viewer.close()));
});

async function open(options: InspectOptions = {}) {
  const actor = createActor(light, { id: 'crossing' }).start();
  const inspection = await inspect(actor, { port: 0, ...options });
  onTestFinished(() => inspection.close());
  const { port } = new URL(inspection.url);
  const view = async (viewing: ViewOptions = {}) => {
    const viewer = await InspectClient.connect(Number(port), viewing);
    viewers.push(viewer);
    return viewer;
  };
  return { actor, inspection, view };
}

describe('inspect', () => {
  it('serves the page, and shows the system to whoever opens it', async () => {
    const { actor, inspection, view } = await open({ title: 'Crossing <3>' });
    const page = await fetch(inspection.url, { headers: { accept: 'text/html' } });
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const viewer = await view();
    await viewer.until((seen) => seen.of('actor').find(({ name }) => name === 'crossing'));
    expect(viewer.of('hello')[0]).toMatchObject({ source: { name: 'Crossing <3>' }, may: { send: false, act: false } });
    actor.send({ type: 'next' });
    await viewer.until((seen) => seen.statesOf('crossing').includes('green'));
    await viewer.until(
      (seen) => seen.of('machine').some(({ picture }) => picture.includes('data-state="green"')),
      20_000,
    );
  });

  it('sends an event to an actor where it was told that it may', async () => {
    const { actor, view } = await open({ send: true });
    const viewer = await view();
    const { id } = await viewer.until((seen) => seen.of('actor')[0]);
    viewer.send({ type: 'send', id, event: { type: 'next' } });
    await viewer.until((seen) => seen.statesOf('crossing').includes('green'));
    expect(actor.getSnapshot().value).toBe('green');
  });

  it('tells viewers the end when it is closed, and the actor goes on', async () => {
    const { actor, inspection, view } = await open();
    const viewer = await view();
    await viewer.until((seen) => seen.of('actor')[0]);
    await inspection.close();
    expect(await viewer.closed).toBe(1001);
    expect(viewer.frames.at(-1)).toEqual({ type: 'end', reason: 'the inspection was closed' });
    actor.send({ type: 'next' });
    expect(actor.getSnapshot().value).toBe('green');
    await inspection.close();
  });

  it('leaves out what a viewer does not read, within a bound, and tells it so when it reads again', async () => {
    const { actor, view } = await open();
    const viewer = await view();
    await viewer.until((seen) => seen.of('facts')[0]);
    viewer.socket.pause();
    const sent = 60_000;
    for (let n = 1; n <= sent; n += 1) {
      actor.send({ type: 'next', text: 'x'.repeat(190) } as never);
      // Each of these is a batch of at most 1 MiB.
      if (n % 3000 === 0) await pause(70);
    }
    viewer.socket.resume();
    await viewer.until((seen) => (seen.batches.at(-1)?.dropped ?? 0) > 0);
    // What it gets: 4 MiB that were unread, a batch over it, and what the two ends of the connection took.
    const bytes = viewer.batches.reduce((sum, batch) => sum + JSON.stringify(batch).length, 0);
    expect(bytes).toBeLessThan(16 * 1024 * 1024);
    const told = viewer.of('event').length + viewer.of('step').length;
    expect(told).toBeLessThan(2 * sent);
    actor.send({ type: 'next' });
    await viewer.until((seen) => seen.statesOf('crossing').at(-1) === String(actor.getSnapshot().value));
  }, 60_000);

  it('says that its port is taken', async () => {
    const { inspection } = await open();
    const { port } = new URL(inspection.url);
    const again = inspect(createActor(light), { port: Number(port) });
    await expect(again).rejects.toMatchObject({ code: 'LISTEN_FAILED', message: expect.stringMatching(/is in use$/) });
  });

  it('listens beyond this machine only with a token, which it then asks for', async () => {
    await expect(inspect(createActor(light), { port: 0, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
    const { view } = await open({ token: 'tok' });
    await expect(view()).rejects.toThrow('refused with 401');
    await expect(view({ token: 'tok', headers: { Origin: 'http://evil.example' } })).rejects.toThrow(
      'refused with 403',
    );
    const viewer = await view({ token: 'tok' });
    await viewer.until((seen) => seen.of('hello')[0]);
  });

  it('keeps no process from ending', async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => folder.remove());
    const source = resolve(import.meta.dirname, '../../src/inspection/index.ts');
    const xstate = import.meta.resolve('xstate');
    const script = join(folder.path, 'program.mts');
    await writeFile(
      script,
      `import { createActor, createMachine } from ${JSON.stringify(xstate)};
import { inspect } from ${JSON.stringify(source)};
const { url } = await inspect(createActor(createMachine({ id: 'm' })).start(), { port: 0 });
console.log(url);`,
    );
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    const [code] = await once(child, 'exit');
    expect([code, said.trim()]).toEqual([0, expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/$/)]);
  });
});
