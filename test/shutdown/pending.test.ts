import { canInjectFaults } from '../support/disk-faults.ts';
import { prove } from './proof.ts';
import { pending } from './scenarios/pending.ts';

if (canInjectFaults()) prove('a shutdown with much to flush', pending);
