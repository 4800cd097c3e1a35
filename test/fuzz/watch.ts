/**
 * Bounds on what one input may cost while it is decoded: time, memory taken in one piece, and the prototypes that
 * everything shares. Called by the fuzzer.
 */
import { createContext, Script } from 'node:vm';
import { PropertyBroken } from './target.ts';

/** An input did not come to an end. */
export class Hang extends Error {
  override readonly name = 'Hang';
}

/** Runs, and gives up after `ms` even in an endless loop: V8 ends what it runs within a script that has a timeout. */
export function runWithin(ms: number, run: () => void): void {
  sandbox.run = run;
  try {
    script.runInContext(context, { timeout: ms });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Hang(`no end within ${ms} ms`);
  }
}
const sandbox = { run: (): void => {} };
const context = createContext(sandbox);
const script = new Script('run()');

/** The same for what is asynchronous, as long as it lets timers run. */
export async function settledWithin<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Hang(`not settled within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Sees every array of bytes that is made by length, while installed: a decoder that believes a length before it has
 * the bytes is found at the first input that lies, not when the machine is out of memory.
 */
export class AllocationWatch {
  /** Largest since it was last set to 0. */
  largest = 0;
  readonly #own = { alloc: Buffer.alloc, allocUnsafe: Buffer.allocUnsafe, Uint8Array, ArrayBuffer };

  install(): void {
    const { alloc, allocUnsafe } = this.#own;
    const note = (size: unknown): void => {
      if (typeof size === 'number' && size > this.largest) this.largest = size;
    };
    Buffer.alloc = ((size: number, ...rest: []) => {
      note(size);
      return alloc(size, ...rest);
    }) as typeof Buffer.alloc;
    Buffer.allocUnsafe = (size) => {
      note(size);
      return allocUnsafe(size);
    };
    const watched = <C extends new (...given: never[]) => object>(make: C): C =>
      new Proxy(make, {
        construct: (target, given, self) => {
          note(given[0]);
          return Reflect.construct(target, given, self);
        },
      });
    globalThis.Uint8Array = watched(this.#own.Uint8Array);
    globalThis.ArrayBuffer = watched(this.#own.ArrayBuffer);
  }

  remove(): void {
    Buffer.alloc = this.#own.alloc;
    Buffer.allocUnsafe = this.#own.allocUnsafe;
    globalThis.Uint8Array = this.#own.Uint8Array;
    globalThis.ArrayBuffer = this.#own.ArrayBuffer;
  }
}

/** Throws when something has been put on a prototype that all objects share; takes it off again. */
export function checkPrototypes(): void {
  // Nothing of these is enumerable: whatever this loop finds was put there.
  for (const name in []) {
    for (const prototype of [Object.prototype, Array.prototype]) Reflect.deleteProperty(prototype, name);
    throw new PropertyBroken(`the prototype of all objects has got a property ${JSON.stringify(name)}`);
  }
}
