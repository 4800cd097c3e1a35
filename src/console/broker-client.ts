/**
 * The page as a client of the broker that it shows, over the client endpoint: topics, groups and their lag, a live tail,
 * a record by hand.
 * Connected while the topics are looked at.
 */
import { signal } from '@preact/signals';
import { groupLag, listGroups } from '../client/groups.ts';
import { type Client, type ClientState, connect, SluiceError, type SluiceRecord } from '../client/index.ts';
import type { Described, GroupReply, PartitionLag } from '../protocol/replies.ts';

export interface TailRow {
  readonly number: number;
  readonly partition: number;
  readonly offset: number;
  readonly time: number;
  readonly key: string | null;
  readonly value: string;
  readonly bytes: number;
}

export interface GroupRow extends GroupReply {
  /** Null when it could not be had this time. */
  readonly lag: readonly PartitionLag[] | null;
}

/** Records of the tail that are kept, and characters of each that are looked through and shown. */
export const TAIL_MAX = 5_000;
export const VALUE_CHARACTERS_MAX = 2_000;
const TOPICS_MS = 2_000;
/** Topics of which positions are asked for, each time. */
const DESCRIBED_MAX = 200;
/** Groups of which the lag is asked for, each time. */
const GROUPS_MAX = 50;
/** Between two looks of the view at the tail, ms. */
const TELL_MS = 100;

export const clientState = signal<ClientState | 'off'>('off');
export const clientFailure = signal<{ readonly message: string; readonly wantsToken: boolean } | null>(null);
export const topics = signal<readonly Described[]>([]);
export const groups = signal<readonly GroupRow[]>([]);
/** Newest first. */
export const tail = signal<readonly TailRow[]>([]);
export const tailed = signal<string | null>(null);

let client: Client | null = null;
let attempt = new AbortController();
let tailing = new AbortController();
let clientToken = '';

/** Where the broker takes clients, seen from here. */
export function clientUrl(port: number): string {
  return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.hostname}:${port}/v1`;
}

export async function open(port: number, token?: string): Promise<void> {
  await close();
  if (token !== undefined) clientToken = token;
  const mine = new AbortController();
  attempt = mine;
  clientFailure.value = null;
  clientState.value = 'connecting';
  try {
    const made = await connect(clientUrl(port), {
      name: 'sluice console',
      ...(clientToken === '' ? {} : { token: clientToken }),
      signal: mine.signal,
      on: {
        state: (state) => {
          if (attempt === mine) clientState.value = state;
        },
        error: (error) => {
          if (attempt === mine) fail(error);
        },
      },
    });
    if (attempt !== mine) {
      await made.close();
      return;
    }
    client = made;
    clientFailure.value = null;
    await watchTopics(made, mine.signal);
  } catch (error) {
    if (attempt === mine && !mine.signal.aborted) fail(error);
  }
}

export async function close(): Promise<void> {
  attempt.abort();
  attempt = new AbortController();
  stopTail();
  const closing = client;
  client = null;
  clientState.value = 'off';
  await closing?.close();
}

/** Shows the last records of a topic, and each new one as it comes. */
export async function follow(topic: string): Promise<void> {
  stopTail();
  const now = client;
  if (now === null) return;
  tailed.value = topic;
  tailing = new AbortController();
  const { signal } = tailing;
  const rows: TailRow[] = [];
  let number = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tell = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (!signal.aborted) tail.value = [...rows].reverse();
    }, TELL_MS);
  };
  try {
    for await (const batch of now.subscribe(topic, { from: { last: 50 }, credit: 1_000, signal }).batches()) {
      for (const record of batch) {
        rows.push(rowOf(record, number));
        number += 1;
      }
      if (rows.length > TAIL_MAX) rows.splice(0, rows.length - TAIL_MAX);
      tell();
      // A topic that is written faster than a page can show: the page stays usable, and the broker holds the rest.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } catch (error) {
    if (!signal.aborted) fail(error);
  } finally {
    clearTimeout(timer);
  }
}

export function stopTail(): void {
  tailing.abort();
  tailed.value = null;
  tail.value = [];
}

/** Resolves with where it was stored; rejects with what the broker refused it with. */
export async function publish(topic: string, key: string, value: string): Promise<string> {
  if (client === null) throw new Error('not connected');
  const record = { ...(key === '' ? {} : { key }), value };
  const ack = await client.publish(topic, record, { deadlineMs: 10_000 });
  return `${ack.topic}/${ack.partition}@${ack.offset}`;
}

async function watchTopics(now: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const names = (await now.topics({ signal })).slice(0, DESCRIBED_MAX);
      const described = await Promise.allSettled(names.map(({ topic }) => now.describe(topic, { signal })));
      topics.value = described.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const known = (await listGroups(now)).slice(0, GROUPS_MAX);
      const lags = await Promise.allSettled(known.map(({ group }) => groupLag(now, group)));
      groups.value = known.map((group, index) => {
        const lag = lags[index];
        return { ...group, lag: lag?.status === 'fulfilled' ? lag.value : null };
      });
    } catch (error) {
      if (signal.aborted) return;
      fail(error);
      if (!(error instanceof SluiceError) || !error.retryable) return;
    }
    await new Promise((resolve) => setTimeout(resolve, TOPICS_MS));
  }
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof SluiceError ? error.code : '';
  clientFailure.value = { message, wantsToken: code === 'UNAUTHENTICATED' };
}

function rowOf(record: SluiceRecord, number: number): TailRow {
  const bytes = record.bytes();
  return {
    number,
    partition: record.partition,
    offset: record.offset,
    time: record.time,
    key: record.key === null ? null : record.key.slice(0, 200),
    // A part of the bytes is decoded: a record may have a megabyte.
    value: record.tombstone ? '(tombstone)' : decoder.decode(bytes?.subarray(0, VALUE_CHARACTERS_MAX)),
    bytes: bytes?.length ?? 0,
  };
}

const decoder = new TextDecoder();
