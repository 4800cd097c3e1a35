/** `sluice stop --wait` beside a real broker, one of whose shards can't write: who is waited for is told while it lasts. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CommandResult, runCommand } from '../support/broker-process.ts';
import { brokerRig, lastReport } from '../support/broker-rig.ts';
import { canInjectFaults, DiskFaults } from '../support/disk-faults.ts';

const rig = brokerRig();
const faults = canInjectFaults() ? new DiskFaults() : null;

describe('sluice stop --wait', () => {
  it('ends with the exit code and the report of a clean stop', async () => {
    const data = await rig.folder();
    const broker = await rig.start({ data });
    const env = { SLUICE_ADMIN_URL: broker.adminUrl };
    const { code, stdout, stderr } = await runCommand(['stop', '--wait', '--json'], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toEqual(await lastReport(data));
    expect(stderr).toMatch(/^ +\d+ ms {2}\w+/);
    expect((await broker.exited).code).toBe(0);
  });

  it.skipIf(faults === null)(
    'names the shard that hangs, shows the others released, and ends with 20',
    async () => {
      if (faults === null) return;
      rig.cleanup(() => faults.remove());
      const data = await rig.folder();
      const flags = ['--shards', '2', '--grace-period-ms', '12000', '--flush-ms', '10000'];
      const broker = await rig.start({ data, flags, env: faults.env });
      const env = { SLUICE_URL: broker.url, SLUICE_ADMIN_URL: broker.adminUrl };
      const sluice = (args: readonly string[], input = ''): Promise<CommandResult> => runCommand(args, { env, input });
      await sluice(['topics', 'create', 'bulk', '--partitions', '2', '--durability', 'async']);
      // The first of a partition waits for the write.
      expect(
        (
          await sluice(
            ['publish', 'bulk', '--format', 'jsonl'],
            '{"value":0,"partition":0}\n{"value":0,"partition":1}\n',
          )
        ).code,
      ).toBe(0);
      faults.set(['write', join('shards', '00', 'log'), 'hang']);
      const lines = Array.from({ length: 64 }, (_, n) => `{"value":${n},"partition":${n % 2}}\n`).join('');
      expect((await sluice(['publish', 'bulk', '--format', 'jsonl'], lines)).code).toBe(0);
      const { code, stdout, stderr } = await sluice(['stop', '--wait']);
      expect(code).toBe(20);
      const told = stderr.split('\n').map((line) => line.trim().split(/ {2,}/).slice(1).join(' '));
      expect(told).toContain('shard-01 released');
      expect(told.some((line) => /^shard-00 stalled (finish publishes|write), \d/.test(line))).toBe(true);
      expect(told.some((line) => /^flushing of at most \d/.test(line))).toBe(true);
      expect(stdout.toString()).toMatch(/^sluice stopped: abandoned, exit code 20/);
      expect(stdout.toString()).toContain('shard-00: abandoned: write');
      // A hung file call keeps the process from ending by itself: the watchdog does.
      expect((await broker.exited).signal).toBe('SIGKILL');
    },
    30_000,
  );
});
