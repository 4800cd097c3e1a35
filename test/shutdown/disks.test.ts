import { canInjectFaults } from '../support/disk-faults.ts';
import { prove } from './proof.ts';
import { disks } from './scenarios/disks.ts';

if (canInjectFaults()) prove('a shutdown on a disk that fails', disks);
