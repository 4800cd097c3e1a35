/** Builds the console page, `src/console`, into `dist/console`: hashed assets, nothing inline, nothing from elsewhere. */
import { resolve } from 'node:path';
import { defineConfig } from 'vite';

export default defineConfig({
  root: resolve(import.meta.dirname, 'src/console'),
  // Relative: the page is served at `/` by a broker, and opened from wherever else its files are put.
  base: './',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: resolve(import.meta.dirname, 'dist/console'),
    emptyOutDir: true,
    target: 'es2023',
    modulePreload: { polyfill: false },
    // A strict policy for content lets no data: URL through for scripts and styles.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false,
    // A slow machine is no finding.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
