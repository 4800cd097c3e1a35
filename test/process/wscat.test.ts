/**
 * The session by hand of docs/protocol.md, line by line, with the real `wscat` against a fresh broker: what the document
 * types is typed, and what it says comes back comes back. `…` stands for anything.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { brokerRig } from '../support/broker-rig.ts';

const { folder, start, cleanup } = brokerRig();
const protocol = readFileSync(resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
const wscatPath = createRequire(import.meta.url).resolve('wscat/bin/wscat');
const ANSWER_MS = 10_000;

interface Line {
  readonly typed: boolean;
  readonly text: string;
}

function sessionsOf(markdown: string): Line[][] {
  return [...markdown.matchAll(/^```wscat\n([\s\S]*?)^```$/gm)].map(([, block = '']) =>
    block
      .trimEnd()
      .split('\n')
      .map((line) => {
        if (!/^[<>] /.test(line)) throw new Error(`a line of a session begins with "< " or "> "; got ${line}`);
        return { typed: line.startsWith('>'), text: line.slice(2) };
      }),
  );
}

function patternOf(text: string): RegExp {
  const parts = text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.+')}$`);
}

/** `wscat` through pipes: it prints what comes, a frame on a line, and sends each line that it is given. */
class Wscat {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #waiting: ((line: string) => void) | null = null;
  stderr = '';

  constructor(url: string) {
    this.#child = spawn(process.execPath, [wscatPath, '--no-color', '-c', url], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    if (this.#child.stdout === null) throw new Error('wscat was not given a pipe');
    createInterface({ input: this.#child.stdout }).on('line', (printed) => {
      // Its prompt has no line of its own where there is no terminal.
      const line = printed.replace(/^(?:> )+/, '');
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting === null) this.#lines.push(line);
      else waiting(line);
    });
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** The next line that it prints. */
  printed(): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    return new Promise((take, fail) => {
      const timer = setTimeout(() => fail(new Error(`wscat printed nothing for ${ANSWER_MS} ms`)), ANSWER_MS);
      this.#waiting = (come) => {
        clearTimeout(timer);
        take(come);
      };
    });
  }

  /** Ends it as Ctrl-D does; resolves with what it had printed that nobody asked for. */
  async end(): Promise<readonly string[]> {
    if (this.#child.exitCode === null) {
      this.#child.stdin?.end();
      await once(this.#child, 'exit');
    }
    return this.#lines;
  }
}

describe('the wscat sessions of docs/protocol.md', () => {
  const sessions = sessionsOf(protocol);

  it('are there', () => {
    expect(sessions.length).toBeGreaterThan(0);
    for (const session of sessions) expect(session.filter(({ typed }) => typed).length).toBeGreaterThan(0);
  });

  it.each(sessions.map((session, at) => [at + 1, session] as const))(
    'come true line by line: session %d',
    { timeout: 60_000 },
    async (_, session) => {
      const broker = await start({ data: await folder() });
      const wscat = new Wscat(broker.url);
      cleanup(() => wscat.end());
      for (const { typed, text } of session) {
        if (typed) wscat.type(text);
        else expect(await wscat.printed()).toMatch(patternOf(text));
      }
      expect(await wscat.end()).toEqual([]);
      expect(wscat.stderr).toBe('');
      expect((await broker.stop()).code).toBe(0);
    },
  );
});
