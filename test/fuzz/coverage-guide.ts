/**
 * Coverage guidance from V8 itself: which blocks of `src` ran, counted by the engine's own precise coverage through
 * `node:inspector`, so that nothing is built or instrumented beforehand.
 *
 * Jazzer.js, the one maintained coverage-guided fuzzer for Node, was looked at and left out: it is a native addon that
 * takes the process over, so it cannot run inside a test; it takes no mutators of ours, and half of the decoders here
 * lie behind checksums that random bytes never pass; and what it instruments is compiled JavaScript.
 *
 * Counting costs the code under test most of its speed. The fuzzer therefore asks once for a batch of inputs, looks for
 * the input that was news only when the batch was, and stops counting when news has dried up. One guide at a time, and
 * none while the test runner measures coverage: reading the counters sets them to zero for everybody.
 */
import { type Profiler, Session } from 'node:inspector';

/** The project's own code, without the part of it that is made to test with. */
const SOURCES = new URL('../../src/', import.meta.url).href;
const TESTING = new URL('testing/', SOURCES).href;

/** Bytes of each script that ran, by script: 1 where one did. */
export type News = ReadonlyMap<string, Uint8Array>;

export class CoverageGuide {
  readonly #session = new Session();
  /** Bytes of each script that ran, by script. */
  readonly #seen = new Map<string, Uint8Array>();
  #on = false;

  get on(): boolean {
    return this.#on;
  }

  start(): void {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.#on = true;
  }

  stop(): void {
    if (!this.#on) return;
    this.#on = false;
    this.#post('Profiler.stopPreciseCoverage');
    this.#post('Profiler.disable');
    this.#session.disconnect();
  }

  /** Forgets what ran since the last look. */
  discard(): void {
    this.#take();
  }

  /** What ran since the last look and was never learned, with all that ran beside it; null when there is nothing. */
  look(): News | null {
    const ran = new Map<string, Uint8Array>();
    let news = false;
    for (const script of this.#take()) {
      if (!script.url.startsWith(SOURCES) || script.url.startsWith(TESTING)) continue;
      const bytes = ranBytes(script);
      ran.set(script.url, bytes);
      news ||= hasMore(bytes, this.#seen.get(script.url) ?? new Uint8Array());
    }
    return news ? ran : null;
  }

  /** From now on it is no news. */
  learn(news: News): void {
    for (const [url, ran] of news) {
      const seen = this.#seen.get(url) ?? new Uint8Array();
      const [longer, shorter] = seen.length < ran.length ? [ran, seen] : [seen, ran];
      for (let at = 0; at < shorter.length; at += 1) if (shorter[at] === 1) longer[at] = 1;
      this.#seen.set(url, longer);
    }
  }

  #take(): readonly Profiler.ScriptCoverage[] {
    let result: readonly Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      result = taken.result;
    });
    return result;
  }

  #post(method: string, params: object = {}): void {
    this.#session.post(method, params, (error) => {
      if (error !== null) throw error;
    });
  }
}

/** Ranges nest, functions outer first: the innermost that holds a byte says whether it ran. */
function ranBytes(script: Profiler.ScriptCoverage): Uint8Array {
  let end = 0;
  for (const { ranges } of script.functions) for (const range of ranges) end = Math.max(end, range.endOffset);
  const ran = new Uint8Array(end);
  for (const { ranges } of script.functions) {
    for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  }
  return ran;
}

function hasMore(ran: Uint8Array, seen: Uint8Array): boolean {
  for (let at = 0; at < ran.length; at += 1) if (ran[at] === 1 && seen[at] !== 1) return true;
  return false;
}
