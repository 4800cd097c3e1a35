/** A viewer follows a broker process through its shutdown, and a recording of it opens without a broker. */
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { BrokerProcess, temporaryFolder } from '../support/broker-process.ts';
import { pause } from '../support/broker-rig.ts';
import { PublishLoad } from '../support/publish-load.ts';
import { InspectClient } from './inspect-client.ts';

const running: BrokerProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((broker) => broker.stop('SIGKILL')));
});

describe('a viewer of a broker process', () => {
  it('sees every shard go from running to released through a SIGTERM under load, and then the end', async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => folder.remove());
    const broker = await BrokerProcess.start({ data: folder.path, flags: ['--shards', '16', '--reserve-bytes', '0'] });
    running.push(broker);
    const loads = await Promise.all(
      [0, 1, 2].map((number) => PublishLoad.begin(broker.url, 'orders', `load-${number}`, 'goaway')),
    );
    const viewer = await InspectClient.connect(broker.adminPort);
    const names = Array.from({ length: 16 }, (_, shard) => `shard-${String(shard).padStart(2, '0')}`);
    await viewer.until((seen) => names.every((name) => seen.statesOf(name).length > 0));
    await viewer.until(
      (seen) =>
        ['shard', 'session'].every((id) =>
          seen.of('machine').some((machine) => machine.id === id && machine.picture !== ''),
        ),
      20_000,
    );
    const exit = await broker.stop('SIGTERM');
    expect(exit.code).toBe(0);
    expect(await viewer.closed).toBe(1001);
    for (const name of names) {
      expect([name, ...viewer.statesOf(name)]).toEqual([name, 'running', 'draining', 'flushing', 'released']);
    }
    expect(viewer.frames.at(-1)?.type).toBe('end');
    const phases = viewer.of('facts').map(({ shutdown }) => (shutdown as { readonly phase: string }).phase);
    expect(phases[0]).toBe('running');
    expect(viewer.batches.at(-1)?.dropped).toBe(0);
    expect(loads.some(({ acked }) => acked.length > 0)).toBe(true);
    expect(broker.lines.filter(({ msg }) => msg === 'inspection failed')).toEqual([]);
  }, 60_000);

  it('never keeps a clean broker from ending in order, however soon behind its look', async () => {
    const exits = await Promise.all(
      [0, 50, 150, 300, 600, 1000].map(async (ms) => {
        const folder = await temporaryFolder();
        onTestFinished(() => folder.remove());
        const broker = await BrokerProcess.start({
          data: folder.path,
          flags: ['--shards', '1', '--reserve-bytes', '0'],
        });
        running.push(broker);
        const viewer = await InspectClient.connect(broker.adminPort);
        // Its charts are being drawn meanwhile, in a thread that the process has to end.
        await pause(ms);
        const exit = await broker.stop('SIGTERM');
        await viewer.closed;
        return exit;
      }),
    );
    expect(exits).toEqual(exits.map(() => ({ code: 0, signal: null })));
  }, 60_000);
});
