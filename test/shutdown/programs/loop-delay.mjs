/**
 * Imported into a broker under test (NODE_OPTIONS=--import): measures the delay of its event loop from the SIGWINCH that
 * the test sends to the end of the process, and writes it to the file that LOOP_DELAY names, as JSON, ms.
 */
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  process.on('SIGWINCH', () => {
    delay.reset();
    delay.enable();
  });
  process.on('exit', () => {
    const ms = (nanoseconds) => Math.round(nanoseconds / 1e4) / 100;
    const figures = { p99Ms: ms(delay.percentile(99)), maxMs: ms(delay.max) };
    writeFileSync(process.env['LOOP_DELAY'] ?? '/dev/null', JSON.stringify(figures));
  });
}
