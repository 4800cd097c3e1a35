/**
 * The connection to the source that served this page: its batches go to the store. Lost, it is made again, at growing
 * intervals, for as long as the page is open; a source that turns out to be a recording is opened as one.
 */
import { inspectProtocol, tokenProtocolPrefix, type ViewerMessage } from '../inspection/frames.ts';
import { authorization, base64Url, token } from './admin-token.ts';
import { isBatch } from './frame-check.ts';
import { openRecording } from './player.ts';
import { changed, link, live, lose, say, take } from './store.ts';

const WAIT_MS_MIN = 300;
const WAIT_MS_MAX = 4000;
/** An upgrade that is not answered by then is given up. */
const OPEN_MS_MAX = 5000;
/** Batches that do not read and are said; others are only counted. */
const COMPLAINTS_MAX = 3;

let socket: WebSocket | null = null;
let wait = WAIT_MS_MIN;
let timer: ReturnType<typeof setTimeout> | undefined;
let complaints = 0;
let wasLive = false;

/** Begins, or begins again at once: with a token that was entered. */
export function connect(): void {
  clearTimeout(timer);
  socket?.close();
  if (link.value === 'locked') link.value = 'connecting';
  const protocols = [inspectProtocol];
  if (token.value !== '') protocols.push(tokenProtocolPrefix + base64Url(token.value));
  const url = new URL('./inspect', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const opening = new WebSocket(url, protocols);
  socket = opening;
  const late = setTimeout(() => opening.close(), OPEN_MS_MAX);
  opening.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (socket === opening && typeof data === 'string') receive(data);
  };
  opening.onopen = () => clearTimeout(late);
  opening.onclose = () => {
    clearTimeout(late);
    if (socket === opening) closed().catch((error: unknown) => say(String(error), true));
  };
}

/** False when nothing is connected. */
export function tell(message: ViewerMessage): boolean {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

function receive(text: string): void {
  let batch: unknown;
  try {
    batch = JSON.parse(text);
  } catch {
    batch = null;
  }
  if (!isBatch(batch)) {
    complaints += 1;
    if (complaints <= COMPLAINTS_MAX) say('The source sent what this page does not understand.', true);
    return;
  }
  if (link.value !== 'live') {
    link.value = 'live';
    if (wasLive) say('Connected again.');
    wasLive = true;
    wait = WAIT_MS_MIN;
  }
  take(batch, text);
}

async function closed(): Promise<void> {
  socket = null;
  // An end that the source announced is shown by every view; one that it did not is news.
  if (link.value === 'live' && live.value.ended === null) {
    say('The connection is gone. What was seen stays on this page.', true);
  }
  lose();
  if (!wasLive && (await isAnother())) return;
  timer = setTimeout(connect, wait);
  wait = Math.min(wait * 1.6, WAIT_MS_MAX);
  changed();
}

/** Why it never was live: a token is wanted, or this is no broker but a recording. */
async function isAnother(): Promise<boolean> {
  const status = await answer('./status');
  if (status?.status === 401) {
    link.value = 'locked';
    return true;
  }
  if (status === null || status.ok) return false;
  const file = await answer('./recording.jsonl');
  if (file === null || !file.ok || file.body === null) return false;
  link.value = 'file';
  await openRecording('recording.jsonl', file.body);
  return true;
}

/** Null when nothing answers in time. What the answer holds may take longer: a recording is read as it comes. */
async function answer(path: string): Promise<Response | null> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), OPEN_MS_MAX);
  try {
    return await fetch(path, { headers: authorization(), signal: late.signal });
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
