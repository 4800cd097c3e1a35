/**
 * A broker that has no file descriptor left: it serves on whom it serves, turns newcomers away, and takes them again.
 * It cannot tell of them: Node closes what it has no descriptor for, and says nothing.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { brokerRig, pause } from '../support/broker-rig.ts';
import { Wire } from '../support/wire.ts';

const rig = brokerRig();
/** More than an idle broker needs, and fewer than the clients below want. */
const DESCRIPTORS = 120;
const WANTED = 300;
/** Of the process: user and system, in ticks of 10 ms. */
const TICKS_A_SECOND = 100;

function ticksOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

describe.skipIf(process.platform !== 'linux')('a broker without a descriptor left', () => {
  it('serves those it has, turns the others away without spinning, and takes newcomers when there are some again', async () => {
    const prefix = ['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh'];
    const broker = await rig.start({ data: await rig.folder(), prefix });
    const wire = await Wire.open(broker.url);
    rig.cleanup(() => wire.socket.terminate());
    await wire.ask({ op: 'create', topic: 'kept', partitions: 1 });
    let closed = 0;
    const sockets: Socket[] = Array.from({ length: WANTED }, () =>
      connect({ port: broker.port, host: '127.0.0.1' })
        .on('error', () => {})
        .on('close', () => {
          closed += 1;
        }),
    );
    rig.cleanup(() => {
      for (const socket of sockets) socket.destroy();
    });
    while (closed === 0) await pause(20);
    for (let offset = 0; offset < 20; offset += 1) {
      expect(await wire.ask({ op: 'publish', topic: 'kept', value: offset })).toMatchObject({
        op: 'published',
        offset,
      });
    }
    // What was not taken is turned away, not left waiting.
    while (closed < WANTED - DESCRIPTORS) await pause(20);
    const [before, lines] = [ticksOf(broker.child.pid), broker.lines.length];
    await pause(2000);
    const share = (ticksOf(broker.child.pid) - before) / (2 * TICKS_A_SECOND);
    expect(share).toBeLessThan(0.5);
    expect(broker.lines.length - lines).toBeLessThan(10);
    for (const socket of sockets) socket.destroy();
    await pause(200);
    const late = await Wire.open(broker.url);
    expect(await late.ask({ op: 'ping' })).toMatchObject({ op: 'pong' });
    expect(await late.ask({ op: 'publish', topic: 'kept', value: 20 })).toMatchObject({ op: 'published', offset: 20 });
    await late.close();
    expect(await broker.stop(), broker.output).toEqual({ code: 0, signal: null });
  }, 60_000);
});
