/** A process that lives in a network namespace and does there what the test asks it to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LoadOptions, LoadReport } from './load.ts';

/** What can be asked, and what comes back. */
export interface AgentCalls {
  begin: { asked: LoadOptions & { readonly kind: 'library' | 'wire' }; answer: undefined };
  /** Connects that many consumers of a topic, each by a connection of its own. */
  consume: { asked: { readonly url: string; readonly topic: string; readonly count: number }; answer: undefined };
  /** Records that each of them was given so far. */
  consumed: { asked: Record<string, never>; answer: readonly number[] };
  finish: { asked: { readonly name: string }; answer: LoadReport };
  /** Publishes that many records of that many bytes and waits for their acks. */
  fill: {
    asked: { readonly url: string; readonly topic: string; readonly records: number; readonly bytes: number };
    answer: undefined;
  };
  fetch: { asked: { readonly url: string }; answer: string };
}

export interface AgentCall {
  readonly id: number;
  readonly call: keyof AgentCalls;
  readonly asked: unknown;
}

interface AgentAnswer {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

export class AgentProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  #ids = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, answer, error }: AgentAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(error));
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the agent ended with ${code ?? signal}`));
    });
  }

  /** `prefix`: of the namespace. */
  static async start(prefix: readonly string[]): Promise<AgentProcess> {
    const script = join(import.meta.dirname, 'agent.ts');
    const [program = '', ...args] = [...prefix, process.execPath, '--import', import.meta.resolve('tsx'), script];
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the agent ended with ${code} before it was there`);
    });
    ended.catch(() => {});
    await Promise.race([once(child, 'message'), ended]);
    return new AgentProcess(child);
  }

  ask<Name extends keyof AgentCalls>(
    call: Name,
    asked: AgentCalls[Name]['asked'],
  ): Promise<AgentCalls[Name]['answer']> {
    this.#ids += 1;
    const id = this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#child.send({ id, call, asked } satisfies AgentCall);
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
