import { prove } from './proof.ts';
import { embedded } from './scenarios/embedded.ts';

prove('a broker inside another process', embedded, { apart: true });
