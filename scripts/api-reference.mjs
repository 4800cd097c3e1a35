/**
 * Writes `docs/api.md` from the declarations that the compiler emits, with the docstrings that it keeps: every name that
 * each entry of the package exports.
 *
 *   npm run build && node scripts/api-reference.mjs            writes the page
 *   npm run build && node scripts/api-reference.mjs --check    exits with 1 when it differs
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const page = join(root, 'docs/api.md');
const CONST_LINES_MAX = 30;

/** The whole page, as it should be. */
export function apiReference() {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entries = Object.entries(exports).filter(([, target]) => typeof target === 'object');
  const parts = [
    '# API reference',
    '',
    'Generated from the docstrings by `scripts/api-reference.mjs`. What is not here is not for use from outside.',
    '',
    ...entries.map(([path]) => `- [\`${entryName(name, path)}\`](#${anchorOf(entryName(name, path))})`),
    '',
  ];
  for (const [path, { types }] of entries) {
    const file = join(root, types);
    parts.push(`## ${entryName(name, path)}`, '', introOf(file), '');
    for (const exported of exportsOf(file)) parts.push(...sectionOf(exported));
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function entryName(name, path) {
  return path === '.' ? name : name + path.slice(1);
}

function anchorOf(heading) {
  return heading.toLowerCase().replace(/[^a-z0-9-]/g, '');
}

/** What the entry says of itself. */
function introOf(file) {
  const [comment] = /^\/\*\*.*?\*\//s.exec(readFileSync(file, 'utf8')) ?? [];
  if (comment === undefined) throw new Error(`${relative(root, file)} does not say what it is`);
  return prose(comment);
}

/** Every name that a file exports, with its declaration, in order of the alphabet, whatever the case. */
function exportsOf(file) {
  const found = [];
  const text = readFileSync(file, 'utf8');
  for (const [, names, from] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';$/gm)) {
    const source = resolve(dirname(file), from.replace(/\.[jt]s$/, '.d.ts'));
    for (const item of names.split(',').map((part) => part.trim())) {
      if (item === '') continue;
      const [local, exported = local] = item.replace(/^type /, '').split(' as ');
      found.push({ name: exported, ...declarationOf(source, local) });
    }
  }
  for (const { names, text: declared, comment } of statementsOf(file)) {
    if (declared.startsWith('export declare') || /^export (interface|type) \w/.test(declared)) {
      for (const name of names) found.push({ name, text: declared, comment });
    }
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, 'en'));
}

/** The declaration of a name, in this file or where this file has it from. */
function declarationOf(file, name) {
  const own = statementsOf(file).filter(({ names }) => names.includes(name));
  if (own.length > 0) {
    const comment = own.find(({ comment: said }) => said !== null)?.comment ?? null;
    return { text: own.map(({ text }) => text).join('\n'), comment };
  }
  const passed = exportsOf(file).find((exported) => exported.name === name);
  if (passed === undefined) throw new Error(`${relative(root, file)} declares no ${name}`);
  return passed;
}

/** The statements at the top of a file of declarations, each with the comment before it. */
function statementsOf(file) {
  const statements = [];
  let comment = null;
  let lines = [];
  let depth = 0;
  let inComment = false;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (lines.length === 0 && (inComment || line.startsWith('/**'))) {
      comment = inComment ? `${comment}\n${line}` : line;
      inComment = !line.includes('*/');
      continue;
    }
    if (line === '' && lines.length === 0) continue;
    lines.push(line);
    depth += depthOf(line);
    if (depth !== 0 || !/[;}]$/.test(line)) continue;
    const text = lines.join('\n');
    const [, name] =
      /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|function|const|enum) (\w+)/.exec(text) ?? [];
    statements.push({ names: name === undefined ? [] : [name], text, comment });
    comment = null;
    lines = [];
  }
  return statements;
}

/** By how much a line opens more brackets than it closes; comments and text do not count. */
function depthOf(line) {
  if (/^\s*(\/?\*|\/\/)/.test(line)) return 0;
  const code = line.replace(/'[^']*'|`[^`]*`/g, '').replace(/\/\*\*.*?\*\//g, '');
  return [...code].reduce((depth, char) => depth + ('{(['.includes(char) ? 1 : '})]'.includes(char) ? -1 : 0), 0);
}

function sectionOf({ name, text, comment }) {
  const code = text
    .split('\n')
    .filter((line) => !/^\s+(#private;|private |static \{)/.test(line))
    .join('\n')
    .replace(/^export (declare )?/gm, '');
  const shown = code.startsWith('const ') ? shortened(code) : code;
  return [`### ${name}`, '', ...(comment === null ? [] : [prose(comment), '']), '```ts', shown, '```', ''];
}

/** Of a value whose inferred type goes on for pages, how it begins. */
function shortened(code) {
  const lines = code.split('\n');
  return lines.length <= CONST_LINES_MAX ? code : `${lines[0]} … }`;
}

function prose(comment) {
  return comment
    .replace(/^\/\*\*\s?|\s*\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const written = apiReference();
  if (!process.argv.includes('--check')) writeFileSync(page, written);
  else if (readFileSync(page, 'utf8') !== written) {
    console.error('docs/api.md differs from the docstrings: run npm run build && node scripts/api-reference.mjs');
    process.exitCode = 1;
  }
}
