/**
 * Takes the pictures of the console that are in README and docs, into `docs/images/`: overview, charts and shutdown,
 * light and dark, wide and narrow; the other views once. What they show is a simulated broker, so that they look alike
 * whenever they are taken.
 *
 *   npm run build && npx tsx scripts/screenshots.mjs [FOLDER]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { crc32, deflateSync, inflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { ConsoleServer } from '../test/console/console-server.ts';
import { SimulatedSource, simulatedMachines } from '../test/console/simulated-source.ts';
import { chromiumFlags, findChromium } from '../test/support/chromium.ts';

/** What a page of documentation can load twelve of, bytes. */
const PICTURE_BYTES_MAX = 200 * 1024;
const COLOURS = 128;
const folder = resolve(process.argv[2] ?? new URL('../docs/images', import.meta.url).pathname);
const executablePath = findChromium();
if (executablePath === null) process.exit(1);

const widths = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };
await mkdir(folder, { recursive: true });
const machines = await simulatedMachines();
const browser = await chromium.launch({ executablePath, args: [...chromiumFlags] });

for (const colorScheme of ['light', 'dark']) {
  for (const [name, viewport] of Object.entries(widths)) {
    const context = await browser.newContext({
      viewport,
      colorScheme,
      deviceScaleFactor: name === 'wide' ? 1.5 : 2,
      reducedMotion: 'reduce',
    });
    const source = new SimulatedSource(machines, { shards: 8, stuck: 'shard-05', sessions: 240 });
    const server = await ConsoleServer.start({ source });
    const page = await context.newPage();
    const take = async (view) => {
      // Nothing under the pointer; and all that was sent is shown, on a busy machine, too.
      await page.mouse.move(viewport.width - 2, 2);
      await page.locator('.time-shown').getByText(clockOf(source.now)).waitFor();
      await page.waitForTimeout(800);
      const path = resolve(folder, `console-${view}-${colorScheme}-${name}.png`);
      const picture = withPalette(await page.screenshot());
      await writeFile(path, picture);
      const size = `${Math.round(picture.length / 1024)} KiB`;
      console.log(`${path}: ${size}${picture.length > PICTURE_BYTES_MAX ? ', too large' : ''}`);
    };
    const goTo = (view) => page.locator(`nav a[href="#/${view}"]`).click();
    const isFirst = colorScheme === 'light' && name === 'wide';
    await page.goto(server.url);
    await page.locator('[data-link=live]').waitFor();
    // What goes over the wires of a broker passes its machines by: they hear of it when it begins and when it ends.
    source.eventsPerSecond = 0;
    server.advance(130_000);
    await take('overview');

    await goTo('charts');
    await page.getByRole('treeitem', { name: 'shard-01' }).click();
    source.stop();
    server.advance(6200);
    await take('charts');
    if (isFirst) {
      await page.getByRole('tab', { name: 'Sequence' }).click();
      await take('sequence');
    }

    await goTo('shutdown');
    server.advance(3600);
    await take('shutdown');
    if (isFirst) {
      await goTo('time');
      await take('time');
    }
    await page.close();
    await server.close();
    await context.close();
  }
}
await browser.close();

/** As the page shows it. */
function clockOf(at) {
  return new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' }).format(at);
}

/**
 * The same PNG with a palette of the 128 colours that it has most of, and each other one as the nearest of them: a third
 * of its size, and of a page with few colours nobody sees the difference. Takes what Chromium writes: 8 bits a channel,
 * not interlaced.
 */
function withPalette(png) {
  const { width, height, channels, pixels } = decode(png);
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += channels) {
    const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const palette = [...counts].sort(([, one], [, other]) => other - one).slice(0, COLOURS);
  const indexes = new Map(palette.map(([colour], index) => [colour, index]));
  const nearest = (colour) => {
    const far = palette.map(([other]) =>
      [16, 8, 0].reduce((sum, bits) => sum + (((colour >> bits) & 255) - ((other >> bits) & 255)) ** 2, 0),
    );
    return far.indexOf(Math.min(...far));
  };
  const rows = Buffer.alloc((width + 1) * height);
  for (let at = 0, pixel = 0; at < pixels.length; at += channels, pixel += 1) {
    const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    let index = indexes.get(colour);
    if (index === undefined) {
      index = nearest(colour);
      indexes.set(colour, index);
    }
    rows[pixel + Math.floor(pixel / width) + 1] = index;
  }
  const header = Buffer.from(png.subarray(16, 29));
  header.set([8, 3], 8);
  const colours = Buffer.from(palette.flatMap(([colour]) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  return Buffer.concat([
    png.subarray(0, 8),
    chunk('IHDR', header),
    chunk('PLTE', colours),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function decode(png) {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const channels = { 2: 3, 6: 4 }[png[25]];
  if (png[24] !== 8 || channels === undefined || png[28] !== 0) throw new Error('a PNG of another kind');
  const parts = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const packed = inflateSync(Buffer.concat(parts));
  const stride = width * channels;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = packed[y * (stride + 1)];
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x < channels ? 0 : pixels[at - channels];
      const up = y === 0 ? 0 : pixels[at - stride];
      const corner = x < channels || y === 0 ? 0 : pixels[at - stride - channels];
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      pixels[at] = packed[y * (stride + 1) + 1 + x] + guess;
    }
  }
  return { width, height, channels, pixels };
}

/** Of the three neighbours the one nearest to what they promise together. */
function paeth(left, up, corner) {
  const promise = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(promise - value));
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
