/**
 * Plain Node loads XState's production build, the test runner its development build. One whole life of the broker's
 * charts, from the built package, in a Node of its own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const built = join(root, 'dist', 'machines', 'index.js');

const script = `
import { createActor, fromPromise } from 'xstate';
const { supervisorMachine, shardMachine, noCounts } = await import(process.argv[1]);
const life = (shard) => new Promise((resolve) => {
  const actor = createActor(supervisorMachine.provide({ actors: { shard } }), {
    input: {
      shards: 2, gateway: true, admin: true, guests: [],
      grace: { gracePeriodMs: 30000, preStopMs: 0, announceMs: 0 },
      now: () => performance.now(),
      load: () => ({ pendingBytes: 0, flushBytesPerSecond: null }),
      shardCounts: () => noCounts,
    },
  });
  actor.subscribe({
    next: (snapshot) => { if (snapshot.value === 'running') setTimeout(() => actor.send({ type: 'shutdown', mode: 'graceful', reason: 'test' })); },
    complete: () => resolve(actor.getSnapshot().output),
    error: (error) => resolve({ outcome: String(error) }),
  });
  actor.start();
});
const failing = shardMachine.provide({ actors: { checkpoint: fromPromise(async ({ input }) => { if (input.shard === 0) throw new Error('EIO'); }) } });
const throwing = shardMachine.provide({ actions: { openGate: ({ context }) => { if (context.shard === 0) throw new Error('broken'); } } });
const ends = [];
for (const shard of [shardMachine, failing, throwing]) {
  const { outcome, exitCode, children } = await life(shard);
  ends.push([outcome, exitCode, (children ?? []).map(({ id, state }) => id + ' ' + state).sort()]);
}
console.log(JSON.stringify(ends));
`;

// `npm test` builds first; a bare `vitest run` on a fresh clone has nothing to load.
describe.skipIf(!existsSync(built))("on XState's production build", () => {
  it('lives and ends as on the development build: clean, failed by a step, failed by a broken chart', () => {
    const arguments_ = ['--input-type=module', '-e', script, pathToFileURL(built).href];
    const output = execFileSync(process.execPath, arguments_, { cwd: root, encoding: 'utf8', timeout: 10_000 });
    const others = ['admin released', 'gateway released'];
    expect(JSON.parse(output)).toEqual([
      ['clean', 0, [...others, 'shard-00 released', 'shard-01 released']],
      ['failed', 21, [...others, 'shard-00 failed', 'shard-01 released']],
      ['failed', 21, [...others, 'shard-00 failed', 'shard-01 released']],
    ]);
  });
});
