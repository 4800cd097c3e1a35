/** The examples of docs/inspection.md do what they say, as they stand, from the built package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { recordingFault } from '../../src/inspection/recording.ts';
import { temporaryFolder } from '../support/broker-process.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/inspection.md'), 'utf8');

function example(name: string): string {
  const code = new RegExp(`<!-- example: ${name} -->\\n\`\`\`js\\n(.*?)\`\`\``, 's').exec(page)?.[1];
  if (code === undefined) throw new Error(`docs/inspection.md has no example ${name}`);
  return code;
}

/** Runs code inside the package, so that it imports `sluice` by its own name. */
async function run(code: string, name: string): Promise<{ code: number | null; output: string }> {
  const path = join(root, `inspection-example-${name}-${process.pid}.mjs`);
  await writeFile(path, code);
  onTestFinished(() => rm(path, { force: true }));
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

describe('docs/inspection.md', () => {
  it('has an example that shows a machine of your own, page and chart', async () => {
    const code = example('inspect').replace('inspect(actor)', 'inspect(actor, { port: 0 })');
    // The light changes for ever, and that keeps the process: this ends it.
    const look = `
const answer = await fetch(url, { headers: { accept: 'text/html' } });
console.log(answer.status, (await answer.text()).includes('<div id="console">'));
process.exit(0);`;
    const ended = await run(code + look, 'inspect');
    expect(ended.output).toMatch(/^charts at http:\/\/127\.0\.0\.1:\d+\/\n200 true\n$/);
    expect(ended.code).toBe(0);
  });

  it('has an example that records a machine of your own', async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => folder.remove());
    const path = join(folder.path, 'door.jsonl');
    const ended = await run(example('record').replace("'door.jsonl'", JSON.stringify(path)), 'record');
    expect(ended).toEqual({ code: 0, output: '' });
    const [header = '', ...batches] = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(recordingFault(header)).toBeNull();
    expect(batches.join()).toMatch(/"type":"step".*"value":"open".*"type":"end"/);
  });
});
