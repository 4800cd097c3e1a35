/** Loaded with `--import` before tsx: registers the hook that plants the bug of the environment. */
import { register } from 'node:module';

register('./hook.mjs', import.meta.url, { data: JSON.parse(process.env.SLUICE_BUG ?? 'null') });
