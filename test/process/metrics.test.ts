/** `/metrics` of a real process: its headers, its token, the event loop, a shutdown as a scraper sees it. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker.ts';
import type { BrokerProcess } from '../support/broker-process.ts';
import { brokerRig, pause } from '../support/broker-rig.ts';
import { MetricsText } from '../support/metrics-text.ts';
import { PublishLoad } from '../support/publish-load.ts';

const rig = brokerRig();

async function scrape(broker: BrokerProcess, init: RequestInit = {}): Promise<MetricsText> {
  const response = await fetch(`${broker.adminUrl}/metrics`, init);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return MetricsText.parse(await response.text());
}

describe('/metrics of a process', () => {
  it('grows with what is published, and only grows where it says so', async () => {
    const broker = await rig.start({ data: await rig.folder(), flags: ['--shards', '2'] });
    const first = await scrape(broker);
    expect(first.value('sluice_build_info', { node: process.version })).toBe(1);
    expect(first.sum('sluice_shard_flushed_records_total')).toBe(0);
    const load = await PublishLoad.begin(broker.url, 'orders', 'm', 'close');
    let before = first;
    for (let look = 0; look < 5; look += 1) {
      await pause(100);
      const now = await scrape(broker);
      for (const family of now.families.values()) {
        if (family.type === 'gauge') continue;
        for (const { name, labels, value } of family.samples)
          expect(value, name).toBeGreaterThanOrEqual(before.value(name, labels) ?? 0);
      }
      before = now;
    }
    expect(before.sum('sluice_shard_flushed_records_total')).toBeGreaterThan(0);
    expect(before.sum('sluice_shard_ack_latency_seconds_count')).toBeGreaterThan(0);
    expect(before.value('sluice_publishes_accepted_total') ?? 0).toBeGreaterThan(0);
    expect(before.value('sluice_disk_free_bytes') ?? 0).toBeGreaterThan(0);
    expect(before.value('process_resident_memory_bytes') ?? 0).toBeGreaterThan(1e6);
    const start = before.value('process_start_time_seconds') ?? 0;
    expect(Math.abs(Date.now() / 1000 - start)).toBeLessThan(120);
    await broker.stop();
    expect((await load.ended).code).toBe(1012);
  });

  it('asks for the token, as everything on the endpoint but the probes', async () => {
    const broker = await rig.start({ data: await rig.folder(), env: { SLUICE_ADMIN_TOKEN: 'secret' } });
    expect((await fetch(`${broker.adminUrl}/metrics`)).status).toBe(401);
    await scrape(broker, { headers: { authorization: 'Bearer secret' } });
    const head = await fetch(`${broker.adminUrl}/metrics`, {
      method: 'HEAD',
      headers: { authorization: 'Bearer secret' },
    });
    expect([head.status, await head.text()]).toEqual([200, '']);
    await broker.stop();
  });

  it('shows a shutdown while it goes, and how it went at the next start', async () => {
    const data = await rig.folder();
    const flags = ['--announce-ms', '2000', '--grace-period-ms', '20000'];
    const broker = await rig.start({ data, flags });
    broker.signal('SIGTERM');
    await pause(500);
    const text = await scrape(broker);
    expect(text.oneOf('sluice_phase', 'phase')).toBe('announcing');
    expect([text.value('sluice_ready'), text.value('sluice_shutdown_stopping')]).toEqual([0, 1]);
    expect(text.value('sluice_shutdown_deadline_seconds') ?? 0).toBeGreaterThan(5);
    expect((await broker.exited).code).toBe(0);
    const next = await rig.start({ data, flags });
    const told = await scrape(next);
    expect(told.oneOf('sluice_last_shutdown_outcome', 'outcome')).toBe('clean');
    expect(told.value('sluice_last_shutdown_duration_seconds') ?? 0).toBeGreaterThan(1);
    await next.stop('SIGKILL');
    const last = await rig.start({ data, flags });
    expect((await scrape(last)).oneOf('sluice_last_shutdown_outcome', 'outcome')).toBe('unreported');
    await last.stop('SIGQUIT');
  });

  it('sees an event loop that was late', async () => {
    const broker = await rig.start({ data: await rig.folder() });
    broker.signal('SIGSTOP');
    await pause(600);
    broker.signal('SIGCONT');
    await pause(100);
    const text = await scrape(broker);
    expect(text.value('sluice_event_loop_delay_seconds', { quantile: '1' }) ?? 0).toBeGreaterThan(0.3);
    expect(text.value('sluice_event_loop_delay_seconds', { quantile: '0.5' }) ?? 1).toBeLessThan(0.3);
    await broker.stop();
  });
});

describe('a process that embeds a broker', () => {
  it('ends by itself behind the stop, though it was scraped', async () => {
    const data = await rig.folder();
    const script = `
      import { createBroker } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
      const broker = createBroker({ data: ${JSON.stringify(data)}, port: 0, adminPort: 0, logLevel: 'error' });
      await broker.start();
      const text = await (await fetch('http://127.0.0.1:' + broker.adminPort + '/metrics')).text();
      const { outcome } = await broker.stop();
      console.log(outcome, text.includes('sluice_event_loop_delay_seconds{'));
    `;
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
    expect(ended.stderr.toString()).toBe('');
    expect([ended.status, ended.stdout.toString()]).toEqual([0, 'clean true\n']);
  });

  it('measures no event loop any more once it has stopped', async () => {
    const config = { data: await rig.folder(), port: 0, adminPort: 0, logLevel: 'error' as const };
    const broker = createBroker(config);
    await broker.start();
    const delay = async () =>
      MetricsText.parse(await broker.metrics()).family('sluice_event_loop_delay_seconds').samples.length;
    expect(await delay()).toBe(3);
    await broker.stop();
    expect(await delay()).toBe(0);
  });
});
