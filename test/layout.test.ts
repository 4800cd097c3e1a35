/** The order of the house: imports point down, three files know `ws`, no file is a catch-all or too long. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');

interface SourceFile {
  readonly path: string;
  /** First folder below src, or the file's own name for those at its top. */
  readonly layer: string;
  readonly lines: number;
  readonly imports: readonly { readonly target: string; readonly typeOnly: boolean }[];
}

const importPattern =
  /^(?:import|export)\s+(type\s)?[^;]*?from\s+'([^']+)';|^import\s+'([^']+)';|import\('([^']+)'\)/gms;

function readSource(path: string): SourceFile {
  const text = readFileSync(path, 'utf8');
  const imports = [...text.matchAll(importPattern)].map((match) => ({
    target: match[2] ?? match[3] ?? match[4] ?? '',
    typeOnly: match[1] !== undefined,
  }));
  return {
    path: relative(source, path),
    layer: layerOf(relative(source, path)),
    lines: text.split('\n').length,
    imports,
  };
}

function layerOf(path: string): string {
  const [first, second] = path.split('/');
  return second === undefined ? 'top' : (first as string);
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => readSource(join(source, name)));

/** Which layers a layer may import, besides itself. `errors.ts`, `config.ts` and `logger.ts` are open to those with `base`. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  ports: ['base'],
  machines: ['domain'],
  protocol: ['domain', 'base'],
  inspection: ['ports', 'base'],
  storage: ['domain', 'ports', 'base'],
  shard: ['storage', 'protocol', 'ports', 'domain', 'base'],
  actors: ['inspection', 'machines', 'shard', 'protocol', 'storage', 'ports', 'domain', 'base'],
  client: ['domain', 'protocol'],
  console: ['client', 'inspection', 'protocol', 'domain'],
  embedding: ['client', 'machines', 'protocol', 'ports', 'domain', 'base'],
  xstate: ['client'],
  testing: [
    'top',
    'client',
    'embedding',
    'actors',
    'inspection',
    'machines',
    'shard',
    'protocol',
    'storage',
    'ports',
    'domain',
    'base',
  ],
  cli: ['top', 'client', 'inspection', 'shard', 'storage', 'protocol', 'domain', 'base', 'ports'],
  top: [
    'embedding',
    'client',
    'actors',
    'inspection',
    'machines',
    'shard',
    'protocol',
    'storage',
    'ports',
    'domain',
    'base',
  ],
};

function withoutComments(text: string): string {
  return text.replace(/\/\*.*?\*\//gs, '').replace(/^\s*\/\/.*$/gm, '');
}

const base = new Set(['errors.ts', 'config.ts', 'logger.ts']);

function targetLayer(file: SourceFile, target: string): string {
  const path = relative(source, resolve(source, dirname(file.path), target));
  return base.has(path) ? 'base' : layerOf(path);
}

describe('layout', () => {
  it('finds the sources that it judges', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(files.flatMap((file) => file.imports).length).toBeGreaterThan(100);
  });

  it('knows every folder', () => {
    const unknown = files.filter((file) => mayImport[file.layer] === undefined).map((file) => file.path);
    expect(unknown).toEqual([]);
  });

  it('imports point down', () => {
    const wrong: string[] = [];
    for (const file of files) {
      if (base.has(file.path)) continue;
      for (const { target } of file.imports) {
        if (!target.startsWith('.')) continue;
        const layer = targetLayer(file, target);
        if (layer === file.layer || mayImport[file.layer]?.includes(layer)) continue;
        wrong.push(`${file.path} imports ${target} (${file.layer} → ${layer})`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('errors import nothing, and the settings only the domain', () => {
    expect(files.find((file) => file.path === 'errors.ts')?.imports).toEqual([]);
    const settings = files.find((file) => file.path === 'config.ts');
    expect(settings?.imports.map(({ target }) => target).sort()).toEqual(['./domain/topic.ts', 'zod']);
  });

  it('the client takes only types from the protocol', () => {
    const wrong = files
      .filter((file) => file.layer === 'client')
      .flatMap((file) => file.imports.filter(({ target, typeOnly }) => target.includes('/protocol/') && !typeOnly));
    expect(wrong).toEqual([]);
  });

  it('the console takes from inspection only types and the names of the protocol, which import nothing', () => {
    const frames = files.find((file) => file.path === 'inspection/frames.ts');
    expect(frames?.imports).toEqual([]);
    const wrong = files
      .filter((file) => file.layer === 'console')
      .flatMap((file) => file.imports.map((imported) => ({ ...imported, path: file.path })))
      .filter(({ target, typeOnly }) => {
        if (target.includes('/inspection/')) return !typeOnly && !target.endsWith('/inspection/frames.ts');
        if (/\/(protocol|domain)\//.test(target)) return !typeOnly;
        return target.includes('/client/') && !/\/client\/(index|groups)\.ts$/.test(target);
      });
    expect(wrong).toEqual([]);
  });

  it('the page knows no Node module, and no package but its own', () => {
    const known = new Set(['preact', 'preact/hooks', '@preact/signals']);
    const wrong = files
      .filter((file) => file.layer === 'console')
      .flatMap((file) => file.imports.map(({ target }) => target))
      .filter((target) => !target.startsWith('.') && !known.has(target));
    expect(wrong).toEqual([]);
  });

  it.each([
    ['ws', ['actors/websocket-listener.ts', 'cli/socket.ts', 'inspection/inspect-socket.ts']],
    ['level', ['storage/level-lock.ts', 'storage/level-meta.ts']],
    ['pino', ['logger.ts']],
  ])('only the files that may import %s do', (name, allowed) => {
    const importers = files.filter((file) => file.imports.some(({ target }) => target === name));
    expect(importers.map((file) => file.path).sort()).toEqual(allowed);
  });

  it('only charts, actors, inspection and the composition root know XState', () => {
    const importers = files.filter((file) => file.imports.some(({ target }) => target === 'xstate'));
    expect(importers.length).toBeGreaterThan(5);
    const others = importers.filter(
      ({ layer }) => !['machines', 'actors', 'embedding', 'inspection', 'xstate', 'top'].includes(layer),
    );
    expect(others.map((file) => file.path)).toEqual([]);
  });

  it('decisions and values know no Node module, clock or randomness', () => {
    const impure: string[] = [];
    for (const file of files) {
      if (!['domain', 'machines', 'client', 'xstate'].includes(file.layer)) continue;
      const text = withoutComments(readFileSync(join(source, file.path), 'utf8'));
      if (file.imports.some(({ target }) => target.startsWith('node:'))) impure.push(`${file.path}: a Node module`);
      if (file.layer !== 'client' && /\b(Date\.now|Math\.random|setTimeout|performance\.now)\(/.test(text)) {
        impure.push(`${file.path}: a clock or randomness`);
      }
    }
    expect(impure).toEqual([]);
  });

  it('has no catch-all file', () => {
    const catchAll = /(^|\/)(utils?|helpers?|common|misc|types|shared)\.tsx?$/;
    expect(files.filter((file) => catchAll.test(file.path)).map((file) => file.path)).toEqual([]);
  });

  it('has no file over 400 lines', () => {
    expect(files.filter((file) => file.lines > 400).map((file) => `${file.path}: ${file.lines}`)).toEqual([]);
  });
});
