/** The randomness port. Everything that is drawn is drawn here, so that a seed can decide it. */
import { randomBytes } from 'node:crypto';

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** A fresh identifier: 22 characters of A–Z a–z 0–9 _ -, 128 bits. */
  id(): string;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => randomBytes(16).toString('base64url'),
};
