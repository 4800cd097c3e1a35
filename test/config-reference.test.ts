import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { settingNames } from '../src/config-name.ts';
import { configurationReference, settingSections } from '../src/config-reference.ts';

describe('the configuration reference', () => {
  it('has every setting once', () => {
    expect(settingSections.flatMap(({ names }) => names).sort()).toEqual([...settingNames].sort());
  });

  // `npx vitest run test/config-reference.test.ts -u` writes the file anew.
  it('is docs/configuration.md', async () => {
    const file = fileURLToPath(new URL('../docs/configuration.md', import.meta.url));
    await expect(configurationReference()).toMatchFileSnapshot(file);
  });
});
