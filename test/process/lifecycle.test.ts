/**
 * How a broker process stops, from the outside: by a signal, idle and under load, and by its admin port.
 */
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/broker-process.ts';
import { brokerRig, lastReport, pause } from '../support/broker-rig.ts';
import { PublishLoad } from '../support/publish-load.ts';
import { recordsOf, refusedUpgrade, Wire } from '../support/wire.ts';

const { folder, start } = brokerRig();

describe('a broker that is told to stop', { timeout: 60_000 }, () => {
  it('ends with 0 in under 250 ms when idle, and leaves nothing but its data', async () => {
    const durations: number[] = [];
    // The best of a few: on a busy machine the time that it was given none counts as well.
    for (let run = 0; run < 5 && !durations.some((ms) => ms < 250); run += 1) {
      const data = await folder();
      const broker = await start({ data });
      expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
      const report = await lastReport(data);
      expect(report).toMatchObject({ outcome: 'clean', exitCode: 0, reason: 'SIGTERM', lost: 0, unknown: 0 });
      expect(report.unaccounted).toEqual([]);
      expect(report.children.map(({ state }) => state)).toEqual(report.children.map(() => 'released'));
      // The name of the holder is gone with the holder.
      expect((await readdir(data)).sort()).toEqual(['last-shutdown.json', 'lock', 'shards', 'sluice.json']);
      durations.push(report.durationMs);
    }
    expect(Math.min(...durations)).toBeLessThan(250);
  });

  it('answers every publish once, and its log is exactly what it acknowledged', async () => {
    const data = await folder();
    const broker = await start({ data });
    const topic = 'load';
    const admin = await Wire.open(broker.url);
    await admin.ask({ op: 'create', topic, partitions: 4 });
    const polite = await Promise.all(
      [0, 1].map((at) => PublishLoad.begin(broker.url, topic, `polite-${at}`, 'goaway')),
    );
    const deaf = await Promise.all([0, 1].map((at) => PublishLoad.begin(broker.url, topic, `deaf-${at}`, 'close')));
    const loads = [...polite, ...deaf];
    while (loads.some(({ acked }) => acked.length < 2000)) await pause(5);

    expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    for (const load of loads) {
      expect(await load.ended).toMatchObject({ code: 1012 });
      expect(load.answeredTwice).toEqual([]);
      expect(load.refusedWith.filter((code) => code !== 'DRAINING')).toEqual([]);
    }
    for (const load of polite) expect(load.unanswered).toEqual([]);
    expect(await lastReport(data)).toMatchObject({ outcome: 'clean', lost: 0, unknown: 0 });

    const again = await start({ data });
    const stored = await recordsOf(again.url, topic);
    const placeOf = ({ partition, offset, value }: { partition: number; offset: number; value?: unknown }) =>
      `${partition}/${offset} ${String(value)}`;
    expect(stored.map(placeOf).sort()).toEqual(
      loads
        .flatMap(({ acked }) => acked)
        .map(placeOf)
        .sort(),
    );
    expect((await again.stop()).code).toBe(0);
  });

  it('is unready from the signal on and alive to the end', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--announce-ms', '600'] });
    const probe = async (path: string) => {
      const response = await fetch(`${broker.adminUrl}${path}`);
      await response.text();
      return response.status;
    };
    expect(await probe('/readyz')).toBe(200);
    const signalled = broker.line(({ msg }) => msg === 'signal');
    broker.signal('SIGTERM');
    await signalled;
    const ready: number[] = [];
    const live: number[] = [];
    for (;;) {
      try {
        ready.push(await probe('/readyz'));
        live.push(await probe('/livez'));
      } catch {
        break; // The admin port is the last to close.
      }
    }
    expect(ready.length).toBeGreaterThan(5);
    expect(new Set(ready)).toEqual(new Set([503]));
    expect(new Set(live)).toEqual(new Set([200]));
    expect(await broker.exited).toEqual({ code: 0, signal: null });
  });

  it('serves while it announces, then refuses newcomers with 503 and a time to come back', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--announce-ms', '400'] });
    const wire = await Wire.open(broker.url);
    broker.signal('SIGTERM');
    expect(await wire.reply(({ op }) => op === 'goaway')).toMatchObject({ stage: 'announce', reason: 'SIGTERM' });
    expect(await wire.ask({ op: 'publish', topic: 'a', key: 'k', value: 1 })).toMatchObject({ op: 'published' });
    const late = await Wire.open(broker.url);
    expect(late.replies[0]).toMatchObject({ op: 'welcome' });
    expect(await late.reply(({ op }) => op === 'goaway')).toMatchObject({ stage: 'announce' });
    expect(await wire.closed).toEqual({ code: 1012, reason: 'shutting down: SIGTERM' });
    expect((await late.closed).code).toBe(1012);
    expect(await broker.exited).toEqual({ code: 0, signal: null });
  });

  it('ends at once and says so when an operator forces it', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--announce-ms', '15000'] });
    broker.signal('SIGTERM');
    await broker.line(({ msg }) => msg === 'announcing');
    broker.signal('SIGQUIT');
    expect(await broker.exited).toEqual({ code: 22, signal: null });
    expect(await lastReport(data)).toMatchObject({ outcome: 'forced', exitCode: 22, mode: 'immediate' });
  });
});

describe('the admin port', { timeout: 60_000 }, () => {
  it('stops a broker by `sluice stop --wait`, which ends with its exit code', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--announce-ms', '300'] });
    const stopped = await runCommand(['stop', '--wait', '--reason', 'a deploy', '--admin', broker.adminUrl]);
    expect(stopped.code, stopped.stderr).toBe(0);
    expect(stopped.stdout.toString()).toMatch(/^sluice stopped: clean, exit code 0/);
    expect(stopped.stderr).toMatch(/announcing/);
    expect(await broker.exited).toEqual({ code: 0, signal: null });
    expect(await lastReport(data)).toMatchObject({ reason: 'a deploy' });
  });

  it('passes the code of a forced stop on', async () => {
    const data = await folder();
    const broker = await start({ data });
    const flags = ['--mode', 'immediate', '--admin', broker.adminUrl];
    const stopped = await runCommand(['stop', '--wait', ...flags]);
    expect(stopped.code, stopped.stderr).toBe(22);
    expect(await broker.exited).toEqual({ code: 22, signal: null });
  });

  it('drains, and serves again when the drain is cancelled', async () => {
    const data = await folder();
    const broker = await start({ data });
    const post = async (path: string) => (await fetch(`${broker.adminUrl}${path}`, { method: 'POST' })).status;
    const ready = async () => (await fetch(`${broker.adminUrl}/readyz`)).status;
    const wire = await Wire.open(broker.url);
    expect(await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 'before' })).toMatchObject({ offset: 0 });

    expect(await post('/drain')).toBe(202);
    expect(await wire.reply(({ op }) => op === 'goaway')).toMatchObject({ stage: 'drain' });
    expect(await ready()).toBe(503);
    expect(await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 'within' })).toMatchObject({
      op: 'error',
      code: 'DRAINING',
      retryable: true,
      retryAfterMs: expect.any(Number),
    });
    const refused = await refusedUpgrade(broker.url);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    // It stays for as long as it is asked to.
    await pause(300);
    expect(broker.child.exitCode).toBe(null);

    expect(await post('/drain/cancel')).toBe(202);
    expect(await ready()).toBe(200);
    expect(await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 'after' })).toMatchObject({ offset: 1 });
    expect(await post('/drain/cancel')).toBe(409);
    expect((await recordsOf(broker.url, 'a')).map(({ value }) => value)).toEqual(['before', 'after']);
    expect((await broker.stop()).code).toBe(0);
  });

  it('cannot call back a shutdown', async () => {
    const data = await folder();
    const broker = await start({ data, flags: ['--announce-ms', '500'] });
    broker.signal('SIGTERM');
    await broker.line(({ msg }) => msg === 'announcing');
    expect((await fetch(`${broker.adminUrl}/drain/cancel`, { method: 'POST' })).status).toBe(409);
    expect(await broker.exited).toEqual({ code: 0, signal: null });
  });
});
