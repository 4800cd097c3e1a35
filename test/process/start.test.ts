/** How a broker process starts, from the outside: again and again on one data directory, and where another is already. */
import { readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort, runCommand } from '../support/broker-process.ts';
import { brokerRig, lastReport } from '../support/broker-rig.ts';
import { recordsOf, Wire } from '../support/wire.ts';

const { folder, start, spawn, cleanup } = brokerRig();

describe('what a run leaves to the next', { timeout: 60_000 }, () => {
  it('is the report of its end, which the next start logs once', async () => {
    const data = await folder();
    const first = await start({ data });
    expect((await first.stop('SIGTERM')).code).toBe(0);
    const report = await lastReport(data);
    expect(report).toMatchObject({ version: expect.any(String), pid: first.child.pid, endedAt: expect.any(Number) });
    expect(report.phases.map(({ phase }) => phase)).toEqual([
      'starting',
      'running',
      'announcing',
      'draining',
      'flushing',
      'releasing',
    ]);
    const second = await start({ data });
    expect(second.lines.find(({ msg }) => msg === 'last shutdown')).toMatchObject({
      outcome: 'clean',
      reason: 'SIGTERM',
      exitCode: 0,
    });
    await second.stop('SIGKILL');
    const third = await start({ data });
    expect(third.lines.find(({ msg }) => msg === 'last shutdown')).toBeUndefined();
    expect(third.lines.some(({ msg }) => String(msg).startsWith('the last run left no report'))).toBe(true);
    expect((await third.stop()).code).toBe(0);
  });

  it('does not grow over 20 starts and stops but by what was published', { timeout: 180_000 }, async () => {
    const data = await folder();
    const sizes: number[] = [];
    for (let cycle = 0; cycle < 20; cycle += 1) {
      const broker = await start({ data, flags: ['--reserve-bytes', '0'] });
      const wire = await Wire.open(broker.url);
      const answer = await wire.ask({ op: 'publish', topic: 'cycles', partition: 0, value: cycle });
      expect(answer).toMatchObject({ op: 'published', partition: 0, offset: cycle });
      expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
      sizes.push(await bytesBelow(data));
    }
    expect(Math.max(...sizes.slice(-5))).toBeLessThan(1_000_000);
    const last = await start({ data });
    expect((await recordsOf(last.url, 'cycles')).map(({ value }) => value)).toEqual([...Array(20).keys()]);
    expect((await last.stop()).code).toBe(0);
    const verified = await runCommand(['verify', data]);
    expect(verified.code, verified.stdout.toString()).toBe(0);
  });
});

async function bytesBelow(path: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(path, { recursive: true })) bytes += (await stat(join(path, name))).size;
  return bytes;
}

describe('a second broker', { timeout: 60_000 }, () => {
  it('is kept off a data directory that is held, told by whom, and harms nothing', async () => {
    const data = await folder();
    const first = await start({ data });
    const wire = await Wire.open(first.url);
    await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 1 });
    const second = spawn({ data });
    expect((await second.exited).code).toBe(1);
    expect(second.stderr).toContain('DATA_DIR_LOCKED');
    expect(second.stderr).toContain(`process ${first.child.pid} on `);
    expect(await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 2 })).toMatchObject({ offset: 1 });
    expect((await first.stop()).code).toBe(0);
    const third = await start({ data });
    expect(await recordsOf(third.url, 'a')).toHaveLength(2);
    expect((await third.stop()).code).toBe(0);
  });

  it('takes a data directory over from one that was killed', async () => {
    const data = await folder();
    const first = await start({ data });
    await first.stop('SIGKILL');
    const second = await start({ data });
    expect((await second.stop()).code).toBe(0);
  });

  it.each([
    ['client', '--port'],
    ['admin', '--admin-port'],
  ])('does not start when its %s port is in use, names it, and lets everything go', async (which, flag) => {
    const data = await folder();
    const holder = createServer();
    const taken = await freePort();
    await new Promise<void>((resolve) => holder.listen(taken, '127.0.0.1', resolve));
    cleanup(() => new Promise((resolve) => holder.close(resolve)));
    const broker = spawn({ data, ...(which === 'client' ? { port: taken } : { adminPort: taken }) });
    expect((await broker.exited).code, broker.output).toBe(1);
    expect(broker.stderr).toContain('LISTEN_FAILED');
    expect(broker.stderr).toContain(String(taken));
    expect(broker.stderr).toContain(`choose another with ${flag}`);
    const again = await start({ data });
    expect((await again.stop()).code).toBe(0);
  });
});
