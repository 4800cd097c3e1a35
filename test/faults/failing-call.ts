/** One file call of a real broker that fails: which one, and how many there were. The counterpart of `nth-call.c`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';

export const callKinds = ['write', 'sync', 'open', 'read', 'rename', 'unlink', 'close'] as const;
export type CallKind = (typeof callKinds)[number];
/** `short`: the call takes half of its bytes; writes only. */
export type CallFailure = 'EIO' | 'ENOSPC' | 'EMFILE' | 'short';

export interface FailingCall {
  readonly kind: CallKind;
  /** Which call of its kind, from 1; 0 for none: calls are counted and nothing fails. */
  readonly nth: number;
  readonly failure: CallFailure;
}

/** What a disk can answer to each kind of call. */
export const failuresOf: Readonly<Record<CallKind, readonly CallFailure[]>> = {
  write: ['EIO', 'ENOSPC', 'short'],
  sync: ['EIO', 'ENOSPC'],
  open: ['EIO', 'EMFILE', 'ENOSPC'],
  read: ['EIO'],
  rename: ['EIO', 'ENOSPC'],
  unlink: ['EIO'],
  close: ['EIO'],
};

const CALLS_AT = 16;

/** The file that the shim and the test share. */
export class CallCounter {
  readonly path: string;

  constructor(path: string, { kind, nth, failure }: FailingCall) {
    this.path = path;
    const state = Buffer.alloc(CALLS_AT + 4 * callKinds.length);
    state.writeUInt32LE(callKinds.indexOf(kind), 0);
    state.writeUInt32LE(nth, 4);
    state.writeInt32LE(failure === 'short' ? 0 : constants.errno[failure], 8);
    writeFileSync(path, state);
  }

  /** True once the call has failed. */
  get fired(): boolean {
    return readFileSync(this.path).readUInt32LE(12) > 0;
  }

  /** Calls so far. */
  get calls(): Readonly<Record<CallKind, number>> {
    const state = readFileSync(this.path);
    const counts = callKinds.map((kind, index) => [kind, state.readUInt32LE(CALLS_AT + 4 * index)] as const);
    return Object.fromEntries(counts) as Record<CallKind, number>;
  }
}
