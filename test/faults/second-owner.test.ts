/**
 * One owner for each data directory, also where the second one's look at the lock goes wrong: whichever of its calls on the
 * lock fails, it is refused, and what keeps out the next one is still there.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokerRig } from '../support/broker-rig.ts';
import { canInjectFaults } from '../support/disk-faults.ts';
import { buildShim } from '../support/shim.ts';
import { Wire } from '../support/wire.ts';
import { CallCounter, type CallFailure, type CallKind } from './failing-call.ts';

const { folder, start, spawn } = brokerRig();
const FLAGS = ['--shards', '2', '--reserve-bytes', '0'];
const calls: readonly (readonly [CallKind, CallFailure])[] = [
  ['open', 'EMFILE'],
  ['open', 'EIO'],
  ['read', 'EIO'],
  ['rename', 'EIO'],
  ['unlink', 'EIO'],
  ['close', 'EIO'],
];

describe.skipIf(!canInjectFaults())('a second broker on one data directory', { timeout: 120_000 }, () => {
  it('is refused, whichever of its calls on the lock fails', async () => {
    const place = await folder();
    const data = join(place, 'data');
    const shim = buildShim('nth-call', place);
    const first = await start({ data, flags: FLAGS });
    const wire = await Wire.open(first.url);
    await wire.ask({ op: 'create', topic: 't', partitions: 1 });
    const locked = statSync(join(data, 'lock/LOCK')).ino;
    let failed = 0;
    for (const [kind, failure] of calls) {
      for (let nth = 1, fired = true; fired; nth += 1) {
        const counter = new CallCounter(join(place, 'calls'), { kind, nth, failure });
        const env = { LD_PRELOAD: shim, NTH_STATE: counter.path, NTH_DIR: join(data, 'lock') };
        const second = spawn({ data, flags: FLAGS, env });
        await expect(second.ready(), `${kind} ${nth} ${failure}`).rejects.toThrow(/DATA_DIR_LOCKED|DATA_DIR_INVALID/);
        expect(statSync(join(data, 'lock/LOCK')).ino, `${kind} ${nth} ${failure}`).toBe(locked);
        fired = counter.fired;
        if (fired) failed += 1;
      }
    }
    expect(failed).toBeGreaterThanOrEqual(4);
    await expect(spawn({ data, flags: FLAGS }).ready()).rejects.toThrow('DATA_DIR_LOCKED');
    expect(await wire.ask({ op: 'publish', topic: 't', value: 1 })).toMatchObject({ op: 'published', offset: 0 });
    expect(await first.stop()).toEqual({ code: 0, signal: null });
  });
});
