// Preloaded into a broker: each second, behind a full collection, appends what it holds as a line of JSON to SOAK_PROBE.
// With SOAK_SNAPSHOT, writes a heap snapshot there once a file of that name with `.wanted` behind it is there.
import { appendFileSync, existsSync, rmSync } from 'node:fs';
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

const { SOAK_PROBE, SOAK_SNAPSHOT } = process.env;

if (isMainThread && SOAK_PROBE !== undefined) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const look = () => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const resources = {};
    for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
    const { Timeout: timers = 0, Immediate: _, ...others } = resources;
    const handles = Object.values(others).reduce((sum, count) => sum + count, 0);
    const line = { at: Date.now(), heapUsed, external, arrayBuffers, timers, handles };
    appendFileSync(SOAK_PROBE, `${JSON.stringify(line)}\n`);
    const wanted = `${SOAK_SNAPSHOT}.wanted`;
    if (SOAK_SNAPSHOT === undefined || !existsSync(wanted)) return;
    rmSync(wanted);
    writeHeapSnapshot(SOAK_SNAPSHOT);
  };
  setInterval(look, 1000).unref();
}
