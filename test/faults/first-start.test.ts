/** A first start that was cut short: whatever it left of the directory, the next one makes it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker.ts';
import { brokerRig } from '../support/broker-rig.ts';

const { folder } = brokerRig();

describe('a first start behind one that was cut short', () => {
  it.each([[[]], [['LOCK.new']], [['LOCK']], [['LOCK', 'sluice.json.new']], [['LOCK.new', 'LOCK', 'sluice.json.new']]])(
    'makes a directory of what was left: lock, %j',
    async (names) => {
      const data = join(await folder(), 'data');
      await mkdir(join(data, 'lock'), { recursive: true });
      for (const name of names) await writeFile(join(data, name), '{"pi');
      const config = { data, shards: 1, reserveBytes: 0, logLevel: 'silent' as const };
      const broker = createBroker({ ...config, listen: false, admin: false });
      await broker.start();
      expect((await broker.stop()).outcome).toBe('clean');
    },
  );
});
