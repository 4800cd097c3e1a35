/** `sluice groups` and `sluice lag` against a broker in memory. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '../../src/cli/registry.ts';
import { memoryWebSocket } from '../../src/testing/memory-websocket.ts';
import { GroupClient } from '../actors/group-client.ts';
import { Rig, turns } from '../broker/rig.ts';
import { upTo } from '../broker/wire-client.ts';
import { fakeTerminal } from './fake-terminal.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start();
  const client = await rig.client();
  await client.create('orders', { partitions: 2 });
  for (const partition of [0, 1]) await client.publishAll('orders', partition, upTo(5));
  const member = await GroupClient.join(rig, 'a');
  await rig.pass(200);
  await member.commit('orders/0', 5);
  await member.commit('orders/1', 2);
});
afterAll(async () => {
  await rig.stop();
});

async function run(...argv: string[]) {
  const terminal = fakeTerminal({ WebSocket: memoryWebSocket(({ port: _, ...dialled }) => rig.network.dial(dialled)) });
  const running = runCommandLine(argv, terminal);
  const watching = argv.includes('--watch');
  let ended = false;
  void running.finally(() => {
    ended = true;
  });
  for (let step = 0; !ended && step < 2000; step += 1) {
    await turns(1);
    await rig.clock.advance(1);
    if (watching && terminal.out.bytes.toString().split('TOPIC').length > 3) terminal.signal('SIGINT');
  }
  const code = await running;
  await terminal.stdout.finish();
  await terminal.stderr.finish();
  return { code, out: terminal.out.bytes.toString(), err: terminal.err.bytes.toString() };
}

describe('sluice groups', () => {
  it('lists groups, for people and for programs', async () => {
    const { code, out, err } = await run('groups');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^GROUP +STATE +GENERATION +MEMBERS +PRESENT +PARTITIONS +REBALANCES\n/);
    expect(out).toMatch(/\nbilling +stable +1 +1 +1 +2 +1\n$/);
    expect(JSON.parse((await run('groups', '--json')).out)).toMatchObject({ group: 'billing', state: 'stable' });
  });

  it('shows the members of one, and says when there is none of that name', async () => {
    expect((await run('groups', 'billing')).out).toMatch(/\nMEMBER +PRESENT +PARTITIONS +TOPICS\na +yes +2 +orders\n$/);
    expect(await run('groups', 'bills')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('UNKNOWN_GROUP'),
    });
  });
});

describe('sluice lag', () => {
  it('shows each partition of a group, and a line for each group', async () => {
    const { code, out, err } = await run('lag', 'billing');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/\norders +0 +a +5 +5 +0 +0 B +-\norders +1 +a +2 +5 +3 +\d+ B +\S+ \S+\n$/);
    expect((await run('lag')).out).toMatch(/\nbilling +2 +1 +3 +\d+ B +\S+ \S+\n$/);
    const rows = (await run('lag', 'billing', '--json')).out.trim().split('\n');
    expect(rows.map((row) => JSON.parse(row).records)).toEqual([0, 3]);
  });

  it('refuses what can be no group', async () => {
    expect(await run('lag', 'a..b')).toMatchObject({
      code: 2,
      err: expect.stringContaining('a group name is made of'),
    });
  });

  it('looks again and again until it is told to stop, which is no failure', async () => {
    const { code, out } = await run('lag', 'billing', '--watch', '--every', '100ms');
    expect(code).toBe(0);
    expect(out.split('TOPIC').length).toBeGreaterThan(3);
  });
});
