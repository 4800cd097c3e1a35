/**
 * A real broker and real clients with a bad network between them: packets lost, late, out of order and twice, a narrow
 * line, a tunnel that swallows large packets, cuts both ways and one way. The client library and a client by hand
 * publish and consume all the while; afterwards each publish was answered once, what was acknowledged is stored once
 * and in order, and each consumer was given all of it, once, in order. `PROOF_SIZE=full` stays longer in each weather.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StoredDirectory } from '../checker/data-directory.ts';
import { checkHistory } from '../checker/history.ts';
import { directoryAt } from '../shutdown/stored.ts';
import { pause } from '../support/broker-rig.ts';
import { canMakeNetworks, type Weather } from '../support/rough-network.ts';
import { type LoadReport, liveness } from './network/load.ts';
import { NetworkSite, PING_MS, PING_TIMEOUT_MS, SLOW_CONSUMER_MS } from './network/site.ts';

const full = process.env['PROOF_SIZE'] === 'full';
const WEATHER_MS = full ? 30_000 : 800;
/** How long it may take to come back once the network is well: the retransmission that grew with the cut, and a wait. */
const BACK_MS = full ? 60_000 : 15_000;
/** What the machine may add to anything. */
const SLACK_MS = 5000;
/** How long the client library waits in silence, at most, until it takes a connection for dead. */
const CLIENT_LIVENESS_MS = 2 * liveness.quietMs + 3 * liveness.answerMs;
const TEST_MS = WEATHER_MS * 2 + BACK_MS + 30_000;

const seed = Number(process.env['NETWORK_SEED'] ?? Date.now() % 1_000_000);

function judgeGiven({ given, acked, refused, sent, answeredTwice, gaps }: LoadReport): void {
  expect({ answeredTwice, gaps, unanswered: sent.length - acked.length - refused.length }).toEqual({
    answeredTwice: [],
    gaps: 0,
    unanswered: 0,
  });
  expect(refused).toEqual([]);
  const next = new Map<number, number>();
  const places = new Map<string, string>();
  for (const { partition, offset, value } of given) {
    expect(offset, `partition ${partition}`).toBe(next.get(partition) ?? 0);
    next.set(partition, offset + 1);
    places.set(`${partition}/${offset}`, value);
  }
  expect(given.length).toBe(sent.length);
  expect(new Set(given.map(({ value }) => value)).size).toBe(sent.length);
  for (const { partition, offset, value } of acked) expect(places.get(`${partition}/${offset}`)).toBe(value);
}

/** What else was published has no names of its own. */
function onlyOf(directory: StoredDirectory, topics: readonly string[]): StoredDirectory {
  return { ...directory, topics: new Map([...directory.topics].filter(([topic]) => topics.includes(topic))) };
}

describe.skipIf(!canMakeNetworks())(`across a bad network (NETWORK_SEED=${seed})`, () => {
  let site: NetworkSite;
  const reports: LoadReport[] = [];
  let topics = 0;

  beforeAll(async () => {
    site = await NetworkSite.make(seed);
  }, 60_000);

  afterAll(async () => {
    await site?.remove();
  }, 60_000);

  /** Both kinds of clients at work while `trouble` goes on; then the network is well, and all has to come right. */
  async function underLoad(bytes: number, trouble: () => Promise<void>): Promise<LoadReport[]> {
    await site.network.setBoth();
    const names = [`library-${topics}`, `wire-${topics}`] as const;
    topics += 1;
    const load = { url: site.url, perSecond: 100, bytes };
    await Promise.all([
      site.far.ask('begin', { ...load, kind: 'library', name: names[0], topic: names[0] }),
      site.far.ask('begin', { ...load, kind: 'wire', name: names[1], topic: names[1] }),
    ]);
    await trouble();
    await site.network.setBoth();
    const well = performance.now();
    // Connected, and by a connection that answers: what finishes has been answered.
    const made = await Promise.all(names.map((name) => site.far.ask('finish', { name })));
    expect(performance.now() - well).toBeLessThan(BACK_MS);
    for (const report of made) {
      judgeGiven(report);
      reports.push(report);
    }
    expect(Math.min(...made.map(({ acked }) => acked.length))).toBeGreaterThan(0);
    return made;
  }

  const weathers: readonly (readonly [name: string, weather: Weather, bytes: number])[] = [
    ['5 % of the packets are lost', { loss: 0.05, delayMs: 5 }, 200],
    ['20 % of the packets are lost', { loss: 0.2, delayMs: 5 }, 200],
    ['packets are 50 to 150 ms late', { delayMs: 50, jitterMs: 100 }, 200],
    ['packets come out of order, and twice', { delayMs: 20, jitterMs: 10, reorder: 0.25, twice: 0.1 }, 200],
    ['the line carries 64 KiB a second', { bytesPerSecond: 65_536, queueBytes: 32_768 }, 2000],
    ['packets above 600 bytes are swallowed', { mtuBytes: 600 }, 1500],
  ];

  it.each(weathers)(
    'each record is stored and given once while %s',
    async (_, weather, bytes) => {
      const before = await site.network.counts();
      await underLoad(bytes, async () => {
        await site.network.setBoth(weather);
        await pause(WEATHER_MS);
      });
      const { carried, lost, twice, reordered, tooLarge } = await site.network.counts();
      // The weather was there.
      expect(carried).toBeGreaterThan(before.carried);
      if (weather.loss !== undefined || weather.bytesPerSecond !== undefined) expect(lost).toBeGreaterThan(before.lost);
      if (weather.twice !== undefined) expect(twice).toBeGreaterThan(before.twice);
      if (weather.reorder !== undefined) expect(reordered).toBeGreaterThan(before.reordered);
      if (weather.mtuBytes !== undefined) expect(tooLarge).toBeGreaterThan(before.tooLarge);
    },
    TEST_MS,
  );

  it(
    'each record is stored and given once across cuts, of the line and of a device',
    async () => {
      await underLoad(200, async () => {
        for (const cut of [WEATHER_MS / 2, WEATHER_MS]) {
          await site.network.setBoth({ cut: true });
          await pause(cut);
          await site.network.setBoth();
          await pause(300);
        }
        await site.network.device('b', false);
        await pause(WEATHER_MS);
        await site.network.device('b', true);
      });
    },
    TEST_MS * 2,
  );

  it.each(['a', 'b'] as const)(
    'each record is stored and given once when nothing comes from side %s',
    async (side) => {
      await underLoad(200, async () => {
        await site.network.set(side, { cut: true });
        // Long enough for the broker to take its clients for dead.
        await pause(PING_MS + PING_TIMEOUT_MS + WEATHER_MS);
      });
    },
    TEST_MS,
  );

  it(
    'a client that is gone without a word is found within the time for a ping and its answer',
    async () => {
      await site.network.setBoth();
      const name = `library-${topics}`;
      topics += 1;
      await site.far.ask('begin', { kind: 'library', name, topic: name, url: site.url, perSecond: 1, bytes: 10 });
      const here = await site.sessions();
      expect(here).toBeGreaterThan(0);
      await site.network.setBoth({ cut: true });
      const cutAt = performance.now();
      while ((await site.sessions()) >= here) {
        await pause(50);
        expect(performance.now() - cutAt).toBeLessThan(PING_MS + PING_TIMEOUT_MS + SLACK_MS);
      }
      await site.network.setBoth();
      const report = await site.far.ask('finish', { name });
      judgeGiven(report);
      reports.push(report);
    },
    TEST_MS,
  );

  it('an idle consumer whose connection died in silence comes back by itself', async () => {
    await site.network.setBoth();
    // The broker's kernel soon stops to repeat what the broker said last: as after a cut of some minutes.
    site.network.kernel('a', 'net.ipv4.tcp_orphan_retries', 1);
    const topic = `silence-${topics}`;
    const near = { url: `ws://127.0.0.1:${site.broker.port}/v1`, topic };
    await site.near.ask('fill', { ...near, records: 1, bytes: 10 });
    await site.far.ask('consume', { url: site.url, topic, count: 1 });
    await site.network.setBoth({ cut: true });
    while ((await site.sessions()) > 0) await pause(50);
    await pause(1500);
    await site.network.setBoth();
    await site.near.ask('fill', { ...near, records: 1, bytes: 10 });
    const wellAt = performance.now();
    while ((await site.far.ask('consumed', {}))[0] !== 2) {
      await pause(100);
      expect(performance.now() - wellAt).toBeLessThan(CLIENT_LIVENESS_MS + SLACK_MS);
    }
  }, 120_000);

  it(
    'consumers behind a dead line cost no more memory than their socket buffers, and are let go',
    async () => {
      await site.network.setBoth();
      const [topic, consumers, megabytes] = ['dead-line', 8, full ? 400 : 8];
      const near = { url: `ws://127.0.0.1:${site.broker.port}/v1`, topic };
      const publish = (): Promise<undefined> =>
        site.near.ask('fill', { ...near, records: megabytes * 16, bytes: 64 * 1024 });
      await publish();
      const before = await site.residentBytes();
      await site.far.ask('consume', { url: site.url, topic, count: consumers });
      await site.network.set('a', { cut: true });
      await publish();
      const grown = (await site.residentBytes()) - before;
      // Each holds what is under way to it and the buffer that the setting allows; all would hold hundreds of MiB.
      expect(grown / 2 ** 20).toBeLessThan((consumers * megabytes) / 4);
      const cutAt = performance.now();
      while ((await site.sessions()) > 0) {
        await pause(50);
        expect(performance.now() - cutAt).toBeLessThan(SLOW_CONSUMER_MS + PING_MS + PING_TIMEOUT_MS + SLACK_MS);
      }
      await site.network.setBoth();
      const all = megabytes * 16 * 2;
      const wellAt = performance.now();
      while ((await site.far.ask('consumed', {})).slice(-consumers).some((records) => records < all)) {
        await pause(100);
        expect(performance.now() - wellAt).toBeLessThan(BACK_MS * 2);
      }
      expect((await site.far.ask('consumed', {})).slice(-consumers)).toEqual(Array(consumers).fill(all));
    },
    TEST_MS * 2,
  );

  it('the broker ends clean, and its files hold what was acknowledged, once and in order', async () => {
    await site.network.setBoth();
    expect(await site.stopBroker(), site.broker.output).toEqual({ code: 0, signal: null });
    const stored = (encoding: 'json' | 'utf8', value: string): string =>
      encoding === 'json' ? JSON.stringify(value) : value;
    const verdict = checkHistory(
      {
        sent: reports.flatMap(({ topic, encoding, sent }) =>
          sent.map((value) => ({ topic, value: stored(encoding, value), sender: topic })),
        ),
        acked: reports.flatMap(({ topic, encoding, acked }) =>
          acked.map((each) => ({ ...each, topic, value: stored(encoding, each.value) })),
        ),
        refused: [],
        unknown: [],
      },
      onlyOf(
        directoryAt(site.data),
        reports.map(({ topic }) => topic),
      ),
    );
    expect(verdict).toEqual({ lost: [], unknown: [], duplicates: [], resurrected: [], reordered: [], gaps: [] });
    expect(site.broker.lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  }, 60_000);
});
