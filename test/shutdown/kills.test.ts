import { prove } from './proof.ts';
import { kills } from './scenarios/kills.ts';

prove('kill -9', kills);
