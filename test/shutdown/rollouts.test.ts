import { prove } from './proof.ts';
import { deploys } from './scenarios/rollouts.ts';

prove('deploys', deploys);
