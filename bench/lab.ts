/** Where a measurement takes place: a fresh server on a fresh folder for each, and nothing left of either behind it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Children } from './child.ts';
import type { Job } from './jobs/main.ts';
import type { Scale } from './scale.ts';
import { systemNamed } from './systems/registry.ts';
import type { Server } from './systems/system.ts';

export class Lab {
  readonly scale: Scale;
  readonly children: Children;

  constructor(scale: Scale, children: Children) {
    this.scale = scale;
    this.children = children;
  }

  /** Runs a job in a process of its own. */
  run<Result>(job: Job): Promise<Result> {
    return this.children.run<Result>(job);
  }

  /** A folder on the disk of the temporary files (`TMPDIR` chooses another), removed behind its use. */
  async inFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
    try {
      return await use(folder);
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  /** Starts a system and ends it behind its use. It is killed: what it would do on a polite way out is not measured. */
  async serve<Result>(system: string, use: (server: Server) => Promise<Result>): Promise<Result> {
    return this.inFolder(async (folder) => this.serveOn(system, folder, 0, use));
  }

  async serveOn<Result>(
    system: string,
    folder: string,
    port: number,
    use: (server: Server) => Promise<Result>,
  ): Promise<Result> {
    const server = await systemNamed(system).start(this.children, folder, port);
    try {
      return await use(server);
    } finally {
      await server.child.kill('SIGKILL');
    }
  }
}
