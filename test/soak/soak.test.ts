/** A soak in small: see `npm run soak`. */
import { describe, expect, it } from 'vitest';
import { soak } from './soak.ts';

describe.skipIf(process.platform !== 'linux')('a broker under connections that come and go', () => {
  it('grows in nothing, and gives everything back when they have gone', { timeout: 120_000 }, async () => {
    const { rows, did, faults, peakSessions } = await soak({ seconds: 20, connections: 100, seed: 1 });
    expect(faults).toEqual([]);
    expect(rows.filter(({ grows, kept }) => grows || kept)).toEqual([]);
    // It was there: all kinds of work were done.
    expect(peakSessions).toBeGreaterThan(30);
    for (const [what, count] of Object.entries(did)) expect(count, what).toBeGreaterThan(0);
  });
});
