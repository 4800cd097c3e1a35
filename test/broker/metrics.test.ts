/** What `/metrics` tells of a broker in memory, followed through publishes, faults, a shutdown and the next start. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { metricFamilies } from '../../src/broker-metrics.ts';
import { MetricsText } from '../support/metrics-text.ts';
import { expectNothingLeft, Rig, topicOn, turns } from './rig.ts';

const zero = topicOn(0);
const one = topicOn(1);

async function scrape(rig: Rig): Promise<MetricsText> {
  return MetricsText.parse(await rig.broker.metrics());
}

describe('the text', () => {
  it('is empty before anything runs', async () => {
    expect(await new Rig().broker.metrics()).toBe('');
  });

  it('has every metric of the table, and no other', async () => {
    const rig = await Rig.start();
    expect((await scrape(rig)).names.sort()).toEqual(metricFamilies.map(({ name }) => name).sort());
    await rig.stop();
  });

  it('tells of its own broker, where several live in one process', async () => {
    const [a, b] = [await Rig.start(), await Rig.start()];
    await (await a.client()).create(zero);
    expect([(await scrape(a)).value('sluice_topics'), (await scrape(b)).value('sluice_topics')]).toEqual([1, 0]);
    const both = await Promise.all([a.broker.metrics(), a.broker.metrics()]);
    for (const text of both) expect(MetricsText.parse(text).value('sluice_topics')).toBe(1);
    await Promise.all([a.stop(), b.stop()]);
  });

  it('leaves nothing behind', async () => {
    const rig = await Rig.start();
    await scrape(rig);
    await rig.stop();
    await expectNothingLeft(rig);
  });
});

describe('names', () => {
  const units = /_(seconds|bytes|records|info|total|ratio)$/;
  const counts =
    /^sluice_(phase|ready|sessions|topics|groups|group_members|shard_(state|disk_full|partitions|write_entries)|shutdown_(mode|stopping|stalled|clients_closed)|last_shutdown_outcome)$/;

  it.each(metricFamilies.map((family) => [family.name, family] as const))('%s follows the guide', (name, family) => {
    expect(name).toMatch(/^(sluice|process)_[a-z]+(_[a-z]+)*$/);
    expect(name.endsWith('_total')).toBe(family.type === 'counter');
    expect(name).not.toMatch(/_(ms|millis|milliseconds|mb|kb|percent|count|sum|bucket|minutes|hours)(_|$)/);
    expect(units.test(name) || counts.test(name)).toBe(true);
    expect(family.help).toMatch(/^[A-Z0-9].{10,160}\.$/);
    const allowed = ['shard', 'phase', 'state', 'how', 'outcome', 'mode', 'code', 'quantile', 'version', 'node'];
    for (const label of family.labels) expect(allowed).toContain(label);
  });

  it('are those of the operations manual, with their types and labels, one row each', () => {
    const manual = readFileSync(resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8');
    const [, section = ''] = manual.split('\n## Metrics\n');
    const rows = (section.split('\n## ')[0] ?? '').split('\n').flatMap((line) => {
      const match = /^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$/.exec(line);
      if (match === null) return [];
      const [, name, type, labels = ''] = match;
      return [`${name} ${type} ${[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).join(' ')}`.trim()];
    });
    const expected = metricFamilies.map(({ name, type, labels }) => `${name} ${type} ${labels.join(' ')}`.trim());
    expect(rows).toEqual(expected);
  });
});

describe('figures', () => {
  it('count publishes by how they were answered', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.ask({ op: 'hello', producer: 'p' });
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 1, partition: 0, sequence: 0 });
    await client.ask({ op: 'publish', topic: zero, value: 1, partition: 0, sequence: 0 });
    await client.ask({ op: 'publish', topic: zero, records: [{ value: 2 }, { value: 3 }] });
    await client.ask({ op: 'publish', topic: zero, value: 4, partition: 99 });
    rig.broker.drain();
    await turns();
    await client.ask({ op: 'publish', topic: zero, value: 5 });
    const text = await scrape(rig);
    expect(text.value('sluice_publishes_accepted_total')).toBe(2);
    expect(text.value('sluice_publishes_duplicate_total')).toBe(1);
    expect(text.value('sluice_publishes_refused_total', { code: 'DRAINING' })).toBe(1);
    expect(text.value('sluice_publishes_refused_total', { code: 'UNKNOWN_PARTITION' })).toBe(1);
    expect(text.value('sluice_publishes_refused_total', { code: 'OVERLOADED' })).toBe(0);
    expect(text.value('sluice_sessions')).toBe(1);
    expect(text.value('sluice_connections_accepted_total')).toBe(1);
    expect(text.value('sluice_publish_in_flight_bytes')).toBe(0);
    await rig.stop();
  });

  it('tell what a shard was given, has written and owes, and how long the write takes', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    const shard = { shard: 'shard-00' };
    const before = await scrape(rig);
    const writes = before.value('sluice_shard_write_duration_seconds_count', shard) ?? 0;
    expect(writes).toBeGreaterThan(0);
    expect(before.value('sluice_shard_flushed_records_total', shard)).toBe(1);
    const hold = rig.holdWrites('shards/00/log');
    for (const id of [1, 2, 3]) client.send({ op: 'publish', id, topic: zero, value: 'held' });
    await rig.pass(1500);
    const held = await scrape(rig);
    expect(held.value('sluice_shard_appended_records_total', shard)).toBe(4);
    expect(held.value('sluice_shard_flushed_records_total', shard)).toBe(1);
    expect(held.value('sluice_shard_pending_records', shard)).toBe(3);
    expect(held.value('sluice_shard_queue_bytes', shard)).toBeGreaterThan(0);
    expect(held.value('sluice_publish_in_flight_bytes')).toBeGreaterThan(0);
    expect(held.value('sluice_shard_write_age_seconds', shard)).toBeCloseTo(1.5, 1);
    hold.release();
    await turns();
    const after = await scrape(rig);
    expect(after.value('sluice_shard_flushed_records_total', shard)).toBe(4);
    expect(after.value('sluice_shard_pending_records', shard)).toBe(0);
    expect(after.value('sluice_shard_queue_bytes', shard)).toBe(0);
    expect(after.value('sluice_shard_write_age_seconds', shard)).toBe(0);
    // Three publishes of one turn are one write, observed once in each distribution.
    for (const name of ['write_duration_seconds', 'write_size_bytes', 'write_entries', 'ack_latency_seconds']) {
      const count = after.value(`sluice_shard_${name}_count`, shard) ?? 0;
      expect(count - (before.value(`sluice_shard_${name}_count`, shard) ?? 0), name).toBe(1);
    }
    const grown = (name: string): number => (after.value(name, shard) ?? 0) - (before.value(name, shard) ?? 0);
    expect(grown('sluice_shard_write_entries_sum')).toBe(3);
    expect(grown('sluice_shard_write_duration_seconds_sum')).toBeCloseTo(1.5, 1);
    expect(grown('sluice_shard_ack_latency_seconds_sum')).toBeCloseTo(1.5, 1);
    expect(grown('sluice_shard_write_size_bytes_sum')).toBe(grown('sluice_shard_segment_bytes'));
    await rig.stop();
  });

  it('observe no latency for publishes that were acknowledged from memory', async () => {
    const rig = await Rig.start({ flushMs: 50 });
    const client = await rig.client();
    await client.create(zero, { durability: 'async' });
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    await rig.pass(200);
    const before = (await scrape(rig)).sum('sluice_shard_ack_latency_seconds_count');
    await client.ask({ op: 'publish', topic: zero, value: 2 });
    await rig.pass(200);
    const text = await scrape(rig);
    expect(text.sum('sluice_shard_flushed_records_total')).toBe(2);
    expect(text.sum('sluice_shard_ack_latency_seconds_count')).toBe(before);
    await rig.stop();
  });

  it('name a shard that failed, keep what it counted, and say what became of its records', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    rig.failWrites('shards/00/log', 'EIO');
    await client.ask({ op: 'publish', topic: zero, value: 2 });
    await rig.pass(1200);
    const text = await scrape(rig);
    expect(text.oneOf('sluice_shard_state', 'state', { shard: 'shard-00' })).toBe('failed');
    expect(text.oneOf('sluice_shard_state', 'state', { shard: 'shard-01' })).toBe('ready');
    expect(text.value('sluice_shard_flushed_records_total', { shard: 'shard-00' })).toBe(1);
    expect(text.value('sluice_shard_appended_records_total', { shard: 'shard-00' })).toBe(2);
    expect(text.value('sluice_shard_unknown_records_total', { shard: 'shard-00' })).toBe(1);
    expect(text.value('sluice_ready')).toBe(1);
    // Nothing was flushed by a shutdown: there was none.
    expect(text.value('sluice_shutdown_flushed_records', { shard: 'shard-00' })).toBe(0);
    rig.disk.onCall = null;
    const report = await rig.stop();
    expect(report.flushedRecords).toBe(0);
  });

  it('estimate the flush by its slowest shard, since shards write side by side', async () => {
    const rig = await Rig.start();
    const client = await rig.client();
    for (const topic of [zero, one]) await client.create(topic);
    const value = 'x'.repeat(10_000);
    // One shard takes a second for a record, the other a hundredth of it.
    for (const [topic, folder, ms] of [
      [zero, 'shards/00/log', 1000],
      [one, 'shards/01/log', 10],
    ] as const) {
      const hold = rig.holdWrites(folder);
      client.send({ op: 'publish', topic, value });
      await rig.pass(ms);
      hold.release();
      await turns();
    }
    expect((await scrape(rig)).value('sluice_shutdown_eta_seconds')).toBe(0);
    const hold = rig.holdWrites('shards/00/log');
    for (let n = 0; n < 3; n += 1) client.send({ op: 'publish', topic: zero, value });
    await turns();
    expect((await scrape(rig)).value('sluice_shutdown_eta_seconds')).toBeCloseTo(3, 0);
    hold.release();
    await rig.stop();
  });

  it('tell the free space of the disk', async () => {
    const rig = await Rig.start({ diskLowBytes: 1000 });
    const text = await scrape(rig);
    expect(text.value('sluice_disk_free_bytes')).toBe((await rig.disk.space('/')).freeBytes);
    expect(text.value('sluice_disk_low_bytes')).toBe(1000);
    expect(text.sum('sluice_shard_disk_full')).toBe(0);
    await rig.stop();
  });
});

describe('a shutdown', () => {
  it('is followed phase by phase, until nobody can ask any more', async () => {
    const rig = await Rig.start({ announceMs: 2000, gracePeriodMs: 20_000 });
    const client = await rig.client();
    await client.create(zero);
    await client.ask({ op: 'publish', topic: zero, value: 1 });
    const running = await scrape(rig);
    expect(running.oneOf('sluice_phase', 'phase')).toBe('running');
    expect(running.value('sluice_ready')).toBe(1);
    expect(running.value('sluice_shutdown_stopping')).toBe(0);
    expect(running.value('sluice_shutdown_deadline_seconds')).toBeNull();
    expect(running.family('sluice_shutdown_mode').samples).toEqual([]);
    expect(running.family('sluice_shutdown_phase_duration_seconds').samples).toEqual([]);

    const stopping = rig.broker.stop();
    await rig.pass(1000);
    const announced = await scrape(rig);
    expect(announced.oneOf('sluice_phase', 'phase')).toBe('announcing');
    expect(announced.value('sluice_ready')).toBe(0);
    expect(announced.value('sluice_shutdown_stopping')).toBe(1);
    expect(announced.oneOf('sluice_shutdown_mode', 'mode')).toBe('graceful');
    expect(announced.value('sluice_shutdown_requests_total')).toBe(1);
    // 20 s less the margin of 2 s, a second of which is gone.
    expect(announced.value('sluice_shutdown_deadline_seconds')).toBeCloseTo(17, 1);
    expect(announced.value('sluice_shutdown_phase_duration_seconds', { phase: 'announcing' })).toBeCloseTo(1, 1);

    const hold = rig.holdWrites('shards/00/log');
    client.send({ op: 'publish', id: 9, topic: zero, value: 'last' });
    await turns();
    void rig.broker.stop({ mode: 'fast' });
    await rig.pass(3000);
    const stalled = await scrape(rig);
    expect(stalled.value('sluice_shutdown_stalled')).toBe(1);
    expect(stalled.oneOf('sluice_shutdown_mode', 'mode')).toBe('fast');
    expect(stalled.value('sluice_shutdown_requests_total')).toBe(2);
    expect(stalled.value('sluice_shutdown_pending_bytes')).toBeGreaterThan(0);
    // Writes take no time on this clock, so that no rate was measured.
    expect(stalled.value('sluice_shutdown_eta_seconds')).toBeNull();
    hold.release();
    const report = await rig.until(stopping);
    expect(report.outcome).toBe('clean');
    const ended = await scrape(rig);
    expect(ended.value('sluice_shutdown_flushed_records', { shard: 'shard-00' })).toBe(report.flushedRecords);
    expect(ended.value('sluice_shutdown_flushed_bytes', { shard: 'shard-00' })).toBe(report.flushedBytes);
    expect(report.flushedRecords).toBe(1);
    expect(ended.value('sluice_shutdown_clients_closed', { how: 'graceful' })).toBe(report.closedGraceful);
    expect(ended.value('sluice_shutdown_clients_closed', { how: 'forced' })).toBe(report.closedForced);
    expect(report.closedGraceful + report.closedForced).toBe(1);
    for (const shard of ['shard-00', 'shard-01']) {
      expect(ended.oneOf('sluice_shard_state', 'state', { shard })).toBe('released');
    }
    for (const { phase, durationMs } of report.phases.filter(({ phase: name }) => name === 'flushing')) {
      expect(ended.value('sluice_shutdown_phase_duration_seconds', { phase })).toBe(durationMs / 1000);
    }
  });

  it('is told by the next start: none, clean, not clean, or killed', async () => {
    const rig = await Rig.start({ gracePeriodMs: 8000 });
    const first = await scrape(rig);
    expect(first.oneOf('sluice_last_shutdown_outcome', 'outcome')).toBeNull();
    expect(first.value('sluice_last_shutdown_duration_seconds')).toBeNull();

    const clean = await rig.restart();
    const second = await scrape(rig);
    expect(second.oneOf('sluice_last_shutdown_outcome', 'outcome')).toBe('clean');
    expect(second.value('sluice_last_shutdown_duration_seconds')).toBe(clean.durationMs / 1000);
    expect(second.value('sluice_last_shutdown_end_time_seconds')).toBe(clean.endedAt / 1000);
    expect(second.value('sluice_last_shutdown_lost_records')).toBe(0);

    const client = await rig.client();
    await client.create(one);
    const hold = rig.holdWrites('shards/01/log');
    client.send({ op: 'publish', id: 1, topic: one, value: 'hangs' });
    await turns();
    const abandoned = await rig.stop();
    hold.release();
    rig.disk.onCall = null;
    await turns(20);
    await rig.again();
    const third = await scrape(rig);
    expect(third.oneOf('sluice_last_shutdown_outcome', 'outcome')).toBe('abandoned');
    expect(third.value('sluice_last_shutdown_unknown_records')).toBe(abandoned.unknown);
    expect(abandoned.unknown).toBe(1);

    await rig.crash();
    const fourth = await scrape(rig);
    expect(fourth.oneOf('sluice_last_shutdown_outcome', 'outcome')).toBe('unreported');
    expect(fourth.value('sluice_last_shutdown_lost_records')).toBeNull();
    await rig.stop();
  });
});
