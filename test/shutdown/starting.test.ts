import { prove } from './proof.ts';
import { starting } from './scenarios/starting.ts';

prove('a start', starting);
