/** A broker that is stopped (SIGSTOP) for longer than its heartbeat, and goes on. */
import { describe, expect, it } from 'vitest';
import { brokerRig, pause } from '../support/broker-rig.ts';
import { PublishLoad } from '../support/publish-load.ts';
import { recordsOf, Wire } from '../support/wire.ts';

const rig = brokerRig();
const STOPPED_MS = 3000;

describe('a broker that was stopped for longer than its heartbeat', () => {
  it('takes none of its clients for dead, answers what came meanwhile, and has lost and doubled nothing', async () => {
    const flags = ['--ping-ms', '200', '--ping-timeout-ms', '400', '--slow-consumer-ms', '500'];
    const data = await rig.folder();
    const broker = await rig.start({ data, flags });
    const idle = await Promise.all(Array.from({ length: 20 }, () => Wire.open(broker.url)));
    const consumer = await Wire.open(broker.url);
    rig.cleanup(() => {
      for (const wire of [...idle, consumer]) wire.socket.terminate();
    });
    await consumer.ask({ op: 'create', topic: 'load', partitions: 1 });
    await consumer.ask({ op: 'subscribe', topic: 'load', from: 'earliest', credit: 1_000_000 });
    const load = await PublishLoad.begin(broker.url, 'load', 'p', 'goaway');
    while (load.acked.length < 200) await pause(5);
    broker.signal('SIGSTOP');
    const acked = load.acked.length;
    await pause(STOPPED_MS);
    broker.signal('SIGCONT');
    while (load.acked.length < acked + 500) await pause(5);
    // Two more rounds of pings.
    await pause(2500);
    expect([...idle, consumer].filter(({ isOpen }) => !isOpen)).toEqual([]);
    expect(broker.lines.filter(({ msg }) => msg === 'connection cut')).toEqual([]);
    for (const wire of idle) expect(await wire.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
    expect(load.answeredTwice).toEqual([]);
    const exited = broker.stop();
    await load.ended;
    expect(await exited, broker.output).toEqual({ code: 0, signal: null });
    expect(load.unanswered).toEqual([]);
    expect([...new Set(load.refusedWith)].filter((code) => code !== 'DRAINING')).toEqual([]);
    const given = consumer.replies
      .filter(({ op }) => op === 'records')
      .flatMap(({ records }) => (records as { offset: number }[]).map(({ offset }) => offset));
    expect(given).toEqual(given.map((_, at) => at));
    const again = await rig.start({ data });
    expect((await recordsOf(again.url, 'load')).map(({ value }) => value)).toEqual(
      load.acked.map(({ value }) => value),
    );
    expect((await again.stop()).code).toBe(0);
  }, 60_000);
});
