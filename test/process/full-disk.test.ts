/**
 * A full disk: publishes are refused with DISK_FULL, reads and commits go on, the process lives, and once there is space
 * again it takes publishes by itself. Nothing acknowledged is lost on the way, not by a `kill -9` at the worst moment.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BrokerProcess } from '../support/broker-process.ts';
import { brokerRig, pause } from '../support/broker-rig.ts';
import { fill, mountSmallDisk } from '../support/small-disk.ts';
import { type Reply, recordsOf, Wire } from '../support/wire.ts';

const { folder, start, cleanup } = brokerRig();
const VALUE = 'x'.repeat(64 * 1024);
const FLAGS = ['--shards', '1', '--shard-queue-bytes', '1MiB', '--group-bytes', '1MiB', '--reserve-bytes', '2MiB'];

interface Place {
  readonly data: string;
  readonly flags: readonly string[];
  /** Takes the space away until little is left; gives it back. */
  readonly take: () => Promise<void>;
  readonly giveBack: () => Promise<void>;
}

/** 40 MiB of tmpfs. `lowMb`: the mark under which publishes are refused. */
async function smallPlace(lowMb: number): Promise<Place | null> {
  const disk = await mountSmallDisk(40);
  if (disk === null) return null;
  cleanup(() => disk.remove());
  const filler = join(disk.path, 'filler');
  return {
    data: join(disk.path, 'data'),
    flags: [...FLAGS, '--disk-check-ms', '50ms', '--disk-low-bytes', `${lowMb}MiB`],
    take: () => fill(filler, 20),
    giveBack: () => rm(filler),
  };
}

async function publish(wire: Wire, value: string = VALUE): Promise<Reply> {
  return wire.ask({ op: 'publish', topic: 'full', partition: 0, value });
}

/** Publishes until it is refused, and returns the refusal and how many were taken. */
async function publishUntilRefused(wire: Wire, before: number): Promise<{ refusal: Reply; acked: number }> {
  for (let acked = before; ; acked += 1) {
    const answer = await publish(wire, `${acked} ${VALUE}`);
    if (answer['op'] !== 'published') return { refusal: answer, acked };
    expect(answer).toMatchObject({ offset: acked });
    if (acked > 4000) throw new Error('the disk is not getting full');
  }
}

async function expectRecovers(wire: Wire, offset: number): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const answer = await publish(wire, `${offset} again`);
    if (answer['op'] === 'published') return expect(answer).toMatchObject({ offset });
    expect(answer).toMatchObject({ code: 'DISK_FULL' });
    await pause(25);
  }
  throw new Error('it did not take publishes again');
}

async function endsWith(broker: BrokerProcess, place: Place, count: number): Promise<void> {
  // By `kill -9`: what is there now was there all the time.
  await broker.stop('SIGKILL');
  const again = await start({ data: place.data, flags: place.flags });
  const numbers = (await recordsOf(again.url, 'full')).map(({ value }) => Number(String(value).split(' ')[0]));
  expect(numbers).toEqual([...Array(count).keys()]);
  expect((await again.stop()).code).toBe(0);
}

/** Reads, commits, the admin endpoint. */
async function expectOthersServed(broker: BrokerProcess, wire: Wire, stored: number): Promise<void> {
  expect(await recordsOf(broker.url, 'full')).toHaveLength(stored);
  expect(await wire.ask({ op: 'commit', subscription: 1, partition: 0, offset: 1 })).toMatchObject({ op: 'committed' });
  expect((await fetch(`${broker.adminUrl}/livez`)).status).toBe(200);
  expect(broker.child.exitCode).toBe(null);
}

async function runThrough(place: Place): Promise<void> {
  const broker = await start({ data: place.data, flags: place.flags });
  const wire = await Wire.open(broker.url);
  await wire.ask({ op: 'create', topic: 'full', partitions: 1 });
  expect(await publish(wire, `0 ${VALUE}`)).toMatchObject({ op: 'published', offset: 0 });
  await wire.ask({ op: 'subscribe', topic: 'full', from: 'earliest', group: 'readers', credit: 1 });

  await place.take();
  const { refusal, acked } = await publishUntilRefused(wire, 1);
  expect(refusal).toMatchObject({ op: 'error', code: 'DISK_FULL', retryable: true });
  expect(await publish(wire)).toMatchObject({ code: 'DISK_FULL' });

  await expectOthersServed(broker, wire, acked);

  await place.giveBack();
  await expectRecovers(wire, acked);
  await endsWith(broker, place, acked + 1);
}

/**
 * Where nothing can be mounted: the disk is not full but taken for full, by a mark above all that is free; it ends with
 * a start under another mark instead of by itself.
 */
async function runMarked(): Promise<void> {
  console.warn('no tmpfs can be mounted here: a full disk is only feigned, by a high mark');
  const data = await folder();
  const first = await start({ data, flags: FLAGS });
  const before = await Wire.open(first.url);
  await before.ask({ op: 'create', topic: 'full', partitions: 1 });
  expect(await publish(before, '0 before')).toMatchObject({ offset: 0 });
  await first.stop();

  const full = await start({ data, flags: [...FLAGS, '--disk-low-bytes', '1TiB', '--disk-check-ms', '10ms'] });
  const wire = await Wire.open(full.url);
  // Space is looked at from time to time; what comes before the first look is stored.
  const { refusal, acked } = await publishUntilRefused(wire, 1);
  expect(refusal).toMatchObject({ op: 'error', code: 'DISK_FULL', retryable: true });
  await wire.ask({ op: 'subscribe', topic: 'full', from: 'earliest', group: 'readers', credit: 1 });
  await expectOthersServed(full, wire, acked);
  expect(await full.stop('SIGTERM')).toEqual({ code: 0, signal: null });

  const again = await start({ data, flags: FLAGS });
  expect(await publish(await Wire.open(again.url))).toMatchObject({ op: 'published', offset: acked });
  expect((await again.stop()).code).toBe(0);
}

describe('a disk that is getting full', { timeout: 60_000 }, () => {
  it('stops publishes at the mark, and nothing else', async () => {
    const place = await smallPlace(8);
    if (place === null) await runMarked();
    else await runThrough(place);
  });

  it('stops publishes at its very end, where there is no mark before it', async () => {
    const place = await smallPlace(0);
    if (place === null) await runMarked();
    else await runThrough(place);
  });

  it('keeps no broker from an orderly end', async () => {
    const place = await smallPlace(0);
    if (place === null) return runMarked();
    const broker = await start({ data: place.data, flags: place.flags });
    const wire = await Wire.open(broker.url);
    await wire.ask({ op: 'create', topic: 'full', partitions: 1 });
    await place.take();
    const { acked } = await publishUntilRefused(wire, 0);
    expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    await place.giveBack();
    const again = await start({ data: place.data, flags: place.flags });
    expect(await recordsOf(again.url, 'full')).toHaveLength(acked);
    expect((await again.stop()).code).toBe(0);
  });
});
