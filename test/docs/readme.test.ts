/** The README's examples do what they say: the code runs as it stands, against a real broker. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerProcess, temporaryFolder } from '../support/broker-process.ts';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The code block behind a comment `<!-- example: NAME -->`. */
function example(name: string): string {
  const code = new RegExp(`<!-- example: ${name} -->\\n\`\`\`js\\n(.*?)\`\`\``, 's').exec(readme)?.[1];
  if (code === undefined) throw new Error(`the README has no example ${name}`);
  return code;
}

/** Runs code inside the package, so that it imports `sluice` by its own name. */
async function run(code: string): Promise<{ code: number | null; output: string }> {
  const path = join(root, `readme-example-${process.pid}.mjs`);
  await writeFile(path, code);
  cleanups.push(() => rm(path, { force: true }));
  const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const [exit] = (await once(child, 'close')) as [number | null];
  return { code: exit, output };
}

describe('the README', () => {
  it('has an example for Node that publishes and reads back', async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const broker = await BrokerProcess.start({ data: folder.path });
    cleanups.push(() => broker.stop('SIGKILL'));
    const { code, output } = await run(example('node').replaceAll('ws://127.0.0.1:7070/v1', broker.url));
    expect(output).toContain('stored at orders/');
    expect(output).toContain("customer-7 { item: 'book' }");
    expect(code).toBe(0);
  });

  it('has an example of a broker in your own process, which ends by itself', async () => {
    const folder = await temporaryFolder();
    cleanups.push(() => folder.remove());
    const code = example('embedded').replace(
      "data: './data'",
      `data: ${JSON.stringify(join(folder.path, 'data'))}, adminPort: 0`,
    );
    const ended = await run(`${code}\nconsole.log(report.outcome, report.exitCode);`);
    expect(ended.output).toContain('clean 0');
    expect(ended.code).toBe(0);
  });
});
