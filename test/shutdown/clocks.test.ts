import { prove } from './proof.ts';
import { clocks } from './scenarios/clocks.ts';

prove('time during a shutdown', clocks);
