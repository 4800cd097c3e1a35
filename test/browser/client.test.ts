/**
 * The client in a real browser: a page publishes real files line by line, is reloaded in the middle, goes on from where
 * it was as a producer and as a consumer, and what it kept and what it reads back are the files, byte for byte.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokerRig } from '../support/broker-rig.ts';
import { chromiumFlags, findChromium } from '../support/chromium.ts';
import { declarationFiles } from '../support/declaration-files.ts';
import { PageServer } from '../support/page-server.ts';

const LINES = 60_000;
const PARTITIONS = 4;
/** The reload comes when the page has had so many acks, and kept so many records. */
const RELOAD_ACKED = LINES / 16;
const RELOAD_KEPT = LINES / 32;

interface PageState {
  readonly skipped: number;
  readonly acked: number;
  readonly kept: number;
  readonly began: readonly number[];
  readonly published: boolean;
  readonly failure: string | null;
  sendKept(): Promise<number>;
  sendStored(): Promise<number>;
}

const executablePath = findChromium();
const { folder, start, cleanup } = brokerRig();
let browser: Browser;
let script: string;

async function bundle(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      modulePreload: false,
      target: 'esnext',
      rolldownOptions: { input: resolve(import.meta.dirname, 'page.js') },
    },
  });
  const [output] = Array.isArray(built) ? built : [built];
  if (output === undefined || !('output' in output)) throw new Error('vite built nothing');
  return output.output[0].code;
}

/** As many files, from all over, as have about so many lines together. */
function someFiles(lines: number): { name: string; bytes: Buffer; lines: number }[] {
  const all = declarationFiles();
  const chosen: { name: string; bytes: Buffer; lines: number }[] = [];
  let left = lines;
  for (let at = 0; at < all.length && left > 0; at += 1) {
    // A stride that shares no factor with the number of files meets each once.
    const name = all[(at * 7919) % all.length] as string;
    const bytes = readFileSync(name);
    const count = bytes.toString('latin1').match(/[^\n]*\n|[^\n]+$/g)?.length ?? 0;
    if (chosen.some((file) => file.name === name)) continue;
    chosen.push({ name, bytes, lines: count });
    left -= count;
  }
  return chosen;
}

function stateOf(page: Page): Promise<PageState> {
  return page.evaluate(() => {
    const { sendKept: _, sendStored: __, ...state } = (globalThis as unknown as { page: PageState }).page;
    return state as PageState;
  });
}

async function pageReaches(page: Page, reached: (state: PageState) => boolean): Promise<PageState> {
  for (;;) {
    const state = await stateOf(page);
    if (state.failure !== null) throw new Error(`the page failed: ${state.failure}`);
    if (reached(state)) return state;
    await new Promise((done) => setTimeout(done, 10));
  }
}

describe.skipIf(executablePath === null)('the client in Chromium', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    script = await bundle();
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: [...chromiumFlags] });
  }, 60_000);
  afterAll(() => browser?.close());

  it('publishes and reads real files byte for byte, through a reload in the middle', async () => {
    const files = someFiles(LINES);
    const total = files.reduce((sum, { lines }) => sum + lines, 0);
    // The last files are held back until the page was reloaded, so that the reload is in the middle on any machine.
    let reloaded = (): void => {};
    const afterReload = new Promise<void>((done) => {
      reloaded = done;
    });
    const server = await PageServer.start({
      script,
      input: async (index) => {
        if (index > files.length / 2) await afterReload;
        return (files[index] as { bytes: Buffer }).bytes;
      },
    });
    cleanup(() => server.close());
    const broker = await start({ data: await folder(), flags: ['--origins', server.origin] });
    const names = files.map(({ name }) => name);
    server.manifest = { url: broker.url, topic: 'declarations', partitions: PARTITIONS, files: names };

    const page = await browser.newPage();
    cleanup(() => page.close());
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(server.origin);
    const before = await pageReaches(page, (state) => state.acked >= RELOAD_ACKED && state.kept >= RELOAD_KEPT);
    expect(before.published).toBe(false);
    reloaded();
    await page.reload();

    let kept = 0;
    const after = await pageReaches(page, (state) => {
      kept = state.began.reduce((sum, offset) => sum + offset, 0) + state.kept;
      return state.published && state.began.length === PARTITIONS && kept >= total;
    });
    // It went on: of neither side it did again what it had done.
    expect(after.skipped).toBeGreaterThanOrEqual(before.acked);
    expect(after.skipped + after.acked).toBe(total);
    expect(Math.max(...after.began)).toBeGreaterThan(0);
    expect(kept).toBe(total);

    expect(await page.evaluate(() => (globalThis as unknown as { page: PageState }).page.sendKept())).toBe(total);
    expect(await page.evaluate(() => (globalThis as unknown as { page: PageState }).page.sendStored())).toBe(total);
    for (const what of ['kept', 'stored']) {
      const sent = server.sent.get(what);
      const wrong = files.filter(({ bytes }, index) => sent?.get(index)?.equals(bytes) !== true);
      expect(wrong.map(({ name }) => name)).toEqual([]);
    }
    expect(errors).toEqual([]);
    expect((await broker.stop()).code).toBe(0);
  });

  it('is kept out by the broker on a page of another host', async () => {
    const server = await PageServer.start({ script: '', input: () => Promise.resolve(Buffer.alloc(0)) });
    cleanup(() => server.close());
    const broker = await start({ data: await folder() });
    const page = await browser.newPage();
    cleanup(() => page.close());
    await page.goto(server.origin.replace('127.0.0.1', 'localhost'));
    const outcome = await page.evaluate(
      (url) =>
        new Promise<string>((done) => {
          const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string) => EventTarget };
          const socket = new WebSocket(url);
          socket.addEventListener('open', () => done('connected'));
          socket.addEventListener('close', () => done('kept out'));
        }),
      broker.url,
    );
    expect(outcome).toBe('kept out');
    expect((await broker.stop()).code).toBe(0);
  });
});
