import { prove } from './proof.ts';
import { clients } from './scenarios/clients.ts';

prove('clients of a broker that leaves', clients, { apart: true });
