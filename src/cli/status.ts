/** `sluice status`: what a running broker says of itself, as a text for people or as its JSON. */
import { Admin, adminFlags, type JsonObject } from './admin.ts';
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { EXIT_OK } from './failure.ts';
import { type Cell, roughBytes, roughMs, tableText } from './table.ts';

const flags = {
  json: { kind: 'switch', text: 'Print the answer as it came.' },
  ...adminFlags,
} as const satisfies Flags;

export const status: Command = {
  name: 'status',
  summary: 'show what a running broker is doing',
  forms: [''],
  about: ['Asks the admin endpoint. For programs there is --json; the text is for people and may change.'],
  flags,
  exits: commonExits,
  examples: ['sluice status', 'sluice status --json | jq .phase'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('status', flags, { required: [], more: 0 }, argv, terminal.environment);
    const answer = await new Admin(parsed.flags).get('/status');
    terminal.stdout.write(parsed.flags.json ? `${JSON.stringify(answer)}\n` : statusText(answer));
    return EXIT_OK;
  },
};

/** Scalars as `name  value`, objects as sections of them, lists of objects as tables. Whatever the broker tells is shown. */
export function statusText(answer: JsonObject): string {
  const sections: string[] = [];
  addSection(sections, '', answer);
  return sections.join('\n');
}

function addSection(sections: string[], title: string, object: JsonObject): void {
  const scalars = Object.entries(object).filter(([, value]) => !isNested(value));
  if (scalars.length > 0) {
    const width = Math.max(...scalars.map(([name]) => wordsOf(name).length));
    const lines = scalars.map(([name, value]) => `${wordsOf(name).padEnd(width)}  ${scalarText(name, value)}`);
    sections.push(`${[...(title === '' ? [] : [title.toUpperCase()]), ...lines].join('\n')}\n`);
  }
  for (const [name, value] of Object.entries(object)) {
    if (!isNested(value)) continue;
    const heading = title === '' ? wordsOf(name) : `${title} ${wordsOf(name)}`;
    if (Array.isArray(value)) sections.push(listText(heading, value as readonly JsonObject[]));
    else addSection(sections, heading, value as JsonObject);
  }
}

function isNested(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every((item) => typeof item === 'object' && item !== null);
  return typeof value === 'object' && value !== null;
}

function listText(heading: string, rows: readonly JsonObject[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => names.map((name): Cell => cellOf(name, row[name])));
  return `${heading.toUpperCase()}\n${tableText(names.map(wordsOf), cells)}`;
}

function cellOf(name: string, value: unknown): Cell {
  if (value === undefined || value === null) return null;
  return typeof value === 'number' && !/(Bytes|Ms)$/.test(name) ? value : scalarText(name, value);
}

/** By the unit that ends the name, as everywhere in Sluice. */
function scalarText(name: string, value: unknown): string {
  if (typeof value === 'number') {
    if (/(^b|B)ytes$/.test(name)) return roughBytes(value);
    if (/Ms$/.test(name)) return roughMs(value);
    return /(^p|P)ort$|(^p|P)id$/.test(name)
      ? String(value)
      : value.toLocaleString('en-US', { maximumFractionDigits: 3 });
  }
  if (value === null || value === undefined) return '-';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function wordsOf(name: string): string {
  return (
    name
      .replace(/(Bytes|Ms)$/, '')
      .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
      .trim() || name
  );
}
