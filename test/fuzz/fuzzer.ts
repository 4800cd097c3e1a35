/**
 * The fuzzer: draws inputs from a seed, runs a target on them, keeps those that reach something new, and shrinks the
 * first that breaks a property. The same target, corpus, seed and number of inputs draw the same inputs as long as no
 * guide is given; guidance changes which are kept.
 *
 * What is checked for every target beside its own properties: an end in time, no allocation by a length that was only
 * claimed, no write into the input, no property on the prototype of all objects. Inputs lie in the middle of a larger
 * buffer, so that a decoder that forgets where its view begins reads what is not its own.
 */
import { performance } from 'node:perf_hooks';
import type { Random } from '../../src/ports/random.ts';
import { seededRandom } from '../storage/seeded-random.ts';
import type { CoverageGuide } from './coverage-guide.ts';
import { draw, generalMutators, type Mutation, pick } from './mutation.ts';
import { holds, PropertyBroken, type SyncTarget, type Target } from './target.ts';
import { AllocationWatch, checkPrototypes, runWithin, settledWithin } from './watch.ts';

export interface FuzzOptions {
  readonly target: Target;
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  /** Most inputs. */
  readonly inputs: number;
  /** Most time, ms. */
  readonly ms: number;
  readonly guide?: CoverageGuide | null;
  /** Told now and then. */
  readonly onProgress?: (progress: FuzzProgress) => void;
}

export interface FuzzProgress {
  readonly inputs: number;
  readonly ms: number;
  readonly kept: number;
}

export interface FuzzFailure {
  /** The smallest input found that fails in the same way. */
  readonly input: Uint8Array;
  /** The input as it was drawn. */
  readonly drawn: Uint8Array;
  readonly error: unknown;
}

export interface FuzzResult extends FuzzProgress {
  /** Inputs that reached something new, the corpus not counted. */
  readonly found: readonly Uint8Array[];
  /** How many inputs came to each end, by the target's word. */
  readonly words: ReadonlyMap<string, number>;
  readonly failure: FuzzFailure | null;
}

/** Inputs between two looks at the clock and at coverage. */
const BATCH_INPUTS = 256;
const ASYNC_INPUTS = 64;
const KEPT_MAX = 4096;
/** Different words of one target; more would be the input coming back. */
const WORDS_MAX = 2000;
/** Inputs without news after which coverage is not counted for a while, and how many go uncounted then. */
const DRY_INPUTS = 30_000;
const REST_INPUTS = 500_000;
/** Most batches between two looks at coverage: one costs as much as hundreds of inputs, and most bring no news. */
const LOOK_BATCHES_MAX = 8;
const INPUT_MS = 2000;
/** A batch may take as long as so many of its inputs at their longest. */
const BATCH_FACTOR = 10;
const PROGRESS_MS = 2000;
const SHRINK_RUNS = 3000;
const SHRINK_MS = 3_000;
const MUTATIONS_MAX = 6;
/** Bytes before and behind an input in its buffer. */
const MARGIN_BYTES = 9;
const MARGIN = 0xa5;
/** What the fuzzer itself allocates is not watched. */
const UnwatchedBytes = Uint8Array;

export function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  return new Fuzzer(options).run();
}

/** Runs a target on inputs as they are; throws what the first that fails throws. */
export async function replay(target: Target, inputs: readonly Uint8Array[]): Promise<void> {
  const letGo = 'runAsync' in target ? await target.open?.() : undefined;
  const allocations = target.allocationMax === undefined ? null : new AllocationWatch();
  allocations?.install();
  try {
    for (const input of inputs) await checked(target, placed(input), allocations);
  } finally {
    allocations?.remove();
    await letGo?.();
  }
}

class Fuzzer {
  readonly #options: FuzzOptions;
  readonly #target: Target;
  readonly #random: Random;
  readonly #dictionary: readonly Uint8Array[];
  readonly #kept: Uint8Array[] = [];
  readonly #found: Uint8Array[] = [];
  readonly #words = new Map<string, number>();
  readonly #allocations: AllocationWatch | null;
  readonly #guide: CoverageGuide | null;
  /** Inputs run since the last look at coverage, and how many of them are waited for. */
  #unseen: Uint8Array[] = [];
  #lookAt = BATCH_INPUTS;
  /** Inputs without news since the guide was started, or since it was stopped. */
  #dry = 0;
  #inputs = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#target = options.target;
    this.#random = seededRandom(options.seed);
    this.#guide = options.guide ?? null;
    this.#allocations = options.target.allocationMax === undefined ? null : new AllocationWatch();
    this.#dictionary = options.target.dictionary.map((word) => (typeof word === 'string' ? Buffer.from(word) : word));
  }

  async run(): Promise<FuzzResult> {
    const target = this.#target;
    const letGo = 'runAsync' in target ? await target.open?.() : undefined;
    const { stackTraceLimit } = Error;
    // Most inputs end in an error that nobody looks at; its stack costs more than the decoding.
    Error.stackTraceLimit = 0;
    this.#allocations?.install();
    this.#guide?.start();
    const began = performance.now();
    const passed = (): number => performance.now() - began;
    let failed: { input: Uint8Array; error: unknown } | null;
    let failure: FuzzFailure | null = null;
    try {
      failed = await this.#explore(passed);
      if (failed !== null) failure = await this.#shrunk(failed.input, failed.error);
    } finally {
      this.#guide?.stop();
      this.#allocations?.remove();
      Error.stackTraceLimit = stackTraceLimit;
      await letGo?.();
    }
    return {
      inputs: this.#inputs,
      ms: passed(),
      kept: this.#kept.length,
      found: this.#found,
      words: this.#words,
      failure,
    };
  }

  async #explore(passed: () => number): Promise<{ input: Uint8Array; error: unknown } | null> {
    const { corpus, inputs: inputsMax, ms: msMax, onProgress } = this.#options;
    const begin = [...corpus, ...this.#target.seeds()].map(placed);
    let failed = await this.#run(begin);
    this.#kept.push(...begin);
    // All of these are kept, whichever of them ran what.
    const begun = this.#guide?.look() ?? null;
    if (begun !== null) this.#guide?.learn(begun);
    let told = 0;
    while (failed === null && this.#inputs < inputsMax && passed() < msMax) {
      const batch: Uint8Array[] = [];
      const most = 'run' in this.#target ? BATCH_INPUTS : ASYNC_INPUTS;
      const count = Math.min(most, inputsMax - this.#inputs);
      while (batch.length < count) batch.push(this.#mutated());
      failed = await this.#batch(batch);
      if (passed() - told < PROGRESS_MS) continue;
      told = passed();
      onProgress?.({ inputs: this.#inputs, ms: told, kept: this.#kept.length });
      // A turn of the event loop, for signals and output.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return failed;
  }

  #mutated(): Uint8Array {
    const random = this.#random;
    const kept = this.#kept;
    // What was kept last leads on more often than what has been tried for long.
    const recent = Math.min(16, kept.length);
    const at = draw(random, 4) === 0 ? kept.length - 1 - draw(random, recent) : draw(random, kept.length);
    let input: Uint8Array = new Uint8Array(kept[at] ?? []);
    const mutation: Mutation = { random, dictionary: this.#dictionary, other: pick(random, kept) ?? input };
    const { mutators = [], repair, bytesMax } = this.#target;
    for (let left = MUTATIONS_MAX; left > 0; left -= 1) {
      const own = mutators.length > 0 && draw(random, 2) === 0;
      input = pick(random, own ? mutators : generalMutators)(input, mutation);
      if (input.length > bytesMax) input = input.subarray(0, bytesMax);
      if (draw(random, 2) === 0) break;
    }
    const whole = placed(input);
    if (repair !== undefined && draw(random, 2) === 0) repair(whole);
    return whole;
  }

  /** Runs inputs, and keeps those that are news. Resolves with the one that failed. */
  async #batch(inputs: readonly Uint8Array[]): Promise<{ input: Uint8Array; error: unknown } | null> {
    const found = this.#found.length;
    const failed = await this.#run(inputs);
    if (failed === null) await this.#followGuide(inputs, this.#found.length > found);
    return failed;
  }

  /** Runs inputs, and keeps those that came to an end that none had come to. Resolves with the one that failed. */
  async #run(inputs: readonly Uint8Array[]): Promise<{ input: Uint8Array; error: unknown } | null> {
    const news: Uint8Array[] = [];
    let at = 0;
    const tell = (word: string): void => {
      const count = this.#words.get(word) ?? 0;
      if (count === 0) news.push(inputs[at] as Uint8Array);
      if (count > 0 || this.#words.size < WORDS_MAX) this.#words.set(word, count + 1);
      this.#inputs += 1;
    };
    const target = this.#target;
    try {
      if ('run' in target) {
        runWithin(inputMs(target) * BATCH_FACTOR, () => {
          for (; at < inputs.length; at += 1) tell(checkedNow(target, inputs[at] as Uint8Array, this.#allocations));
        });
      } else {
        for (; at < inputs.length; at += 1) tell(await checked(target, inputs[at] as Uint8Array, this.#allocations));
      }
    } catch (error) {
      return { input: inputs[at] as Uint8Array, error };
    }
    for (const input of news) this.#keep(input);
    return null;
  }

  #keep(input: Uint8Array): void {
    this.#found.push(input);
    if (this.#kept.length < KEPT_MAX) this.#kept.push(input);
    else this.#kept[draw(this.#random, KEPT_MAX)] = input;
  }

  /** Looks now and then whether inputs ran code that none before them ran, and which did. Rests where none does. */
  async #followGuide(inputs: readonly Uint8Array[], otherNews: boolean): Promise<void> {
    const guide = this.#guide;
    if (guide === null) return;
    this.#dry = otherNews && guide.on ? 0 : this.#dry + inputs.length;
    if (!guide.on) {
      if (this.#dry >= REST_INPUTS) this.#turnGuide(guide, true);
      return;
    }
    this.#unseen.push(...inputs);
    if (this.#unseen.length < this.#lookAt) return;
    const news = guide.look();
    const found = news !== null && (await this.#keepNews(this.#unseen, guide));
    // What ran and did not run again is done once and kept: no input's merit.
    if (news !== null) guide.learn(news);
    this.#unseen = [];
    this.#lookAt = found ? inputs.length : Math.min(2 * this.#lookAt, LOOK_BATCHES_MAX * inputs.length);
    if (found) this.#dry = 0;
    if (this.#dry > DRY_INPUTS) this.#turnGuide(guide, false);
  }

  #turnGuide(guide: CoverageGuide, on: boolean): void {
    if (on) guide.start();
    else guide.stop();
    this.#dry = 0;
    this.#unseen = [];
    this.#lookAt = BATCH_INPUTS;
  }

  /** Halves until single inputs are left. False when none of them brings news again. Looking resets the counters. */
  async #keepNews(inputs: readonly Uint8Array[], guide: CoverageGuide): Promise<boolean> {
    const half = Math.max(1, inputs.length >> 1);
    let found = false;
    for (const part of [inputs.slice(0, half), inputs.slice(half)]) {
      if (part.length === 0) continue;
      for (const input of part) await checked(this.#target, input, null);
      const news = guide.look();
      if (news === null) continue;
      if (part.length > 1) found = (await this.#keepNews(part, guide)) || found;
      else if (part[0] !== undefined) {
        guide.learn(news);
        this.#keep(part[0]);
        found = true;
      }
    }
    return found;
  }

  /** The smallest input found that fails as this one does, by taking pieces out and setting bytes to zero. */
  async #shrunk(drawn: Uint8Array, error: unknown): Promise<FuzzFailure> {
    const kind = kindOf(error);
    const until = performance.now() + SHRINK_MS;
    let best = { input: new Uint8Array(drawn), error };
    let runs = 0;
    const tryOne = async (input: Uint8Array): Promise<boolean> => {
      runs += 1;
      const found = await this.#failure(input);
      if (found === null || kindOf(found) !== kind) return false;
      best = { input: new Uint8Array(input), error: found };
      return true;
    };
    const goesOn = (): boolean => runs < SHRINK_RUNS && performance.now() < until;
    for (let size = best.input.length >> 1; size > 0 && goesOn(); size >>= 1) {
      for (let at = 0; at < best.input.length && goesOn(); ) {
        const { input } = best;
        const shorter = Buffer.concat([input.subarray(0, at), input.subarray(at + size)]);
        if (!(await tryOne(shorter))) at += size;
      }
    }
    for (let at = 0; at < best.input.length && goesOn(); at += 1) {
      if (best.input[at] === 0) continue;
      const zeroed = best.input.slice();
      zeroed[at] = 0;
      await tryOne(zeroed);
    }
    return { drawn: new Uint8Array(drawn), ...best };
  }

  /** How an input fails; null when it does not. */
  async #failure(input: Uint8Array): Promise<unknown> {
    const target = this.#target;
    const whole = placed(input);
    try {
      if ('run' in target) runWithin(inputMs(target), () => void checkedNow(target, whole, this.#allocations));
      else await checked(target, whole, this.#allocations);
      return null;
    } catch (error) {
      return error;
    }
  }
}

/** What makes two failures one: not the numbers and texts of their inputs. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.name} ${error.message.replace(/"[^"]*"|\d+/g, '#').slice(0, 100)}`;
}

function inputMs(target: Target): number {
  return target.inputMs ?? INPUT_MS;
}

function placed(input: Uint8Array): Uint8Array {
  const buffer = new UnwatchedBytes(input.length + 2 * MARGIN_BYTES).fill(MARGIN);
  buffer.set(input, MARGIN_BYTES);
  return buffer.subarray(MARGIN_BYTES, MARGIN_BYTES + input.length);
}

function checkedNow(target: SyncTarget, input: Uint8Array, allocations: AllocationWatch | null): string {
  const before = Buffer.from(input);
  if (allocations !== null) allocations.largest = 0;
  const word = target.run(input);
  checkAfter(target, input, before, allocations);
  return word;
}

async function checked(target: Target, input: Uint8Array, allocations: AllocationWatch | null): Promise<string> {
  if ('run' in target) return checkedNow(target, input, allocations);
  const before = Buffer.from(input);
  if (allocations !== null) allocations.largest = 0;
  const word = await settledWithin(inputMs(target), target.runAsync(input));
  checkAfter(target, input, before, allocations);
  return word;
}

function checkAfter(target: Target, input: Uint8Array, before: Buffer, allocations: AllocationWatch | null): void {
  holds(before.equals(input), 'the input is left as it was');
  checkPrototypes();
  const max = target.allocationMax?.(input.length);
  if (allocations === null || max === undefined || allocations.largest <= max) return;
  throw new PropertyBroken(`no more than ${max} bytes at once for ${input.length}; got ${allocations.largest}`);
}
