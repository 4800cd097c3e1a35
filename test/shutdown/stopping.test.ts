import { prove } from './proof.ts';
import { stopping } from './scenarios/stopping.ts';

prove('a broker that is told to stop', stopping, { apart: true });
