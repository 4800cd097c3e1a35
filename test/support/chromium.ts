/** Where a Chromium is on this machine. */
import { existsSync } from 'node:fs';

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/snap/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Nothing that goes out to the network or needs a graphics card. */
export const chromiumFlags: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** `CHROMIUM` names another place. Without one: null, and said aloud; an error where `CI` is set. */
export function findChromium(): string | null {
  const named = process.env['CHROMIUM'];
  if (named !== undefined && named !== '') return named;
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  const advice = 'no Chromium: `apt-get install chromium`, or name one in the variable CHROMIUM';
  if (process.env['CI'] === 'true') throw new Error(advice);
  console.warn(`the browser tests are skipped: ${advice}`);
  return null;
}
