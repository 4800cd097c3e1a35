/** `--help`: the list of commands, and the text of one command made from its flags. Lines of at most 100 columns. */

import { settings } from '../config.ts';
import { flagOf, variableOf } from '../config-name.ts';
import { BYTES_FORM, MS_FORM } from '../config-quantity.ts';
import { settingSections } from '../config-reference.ts';
import { defaultText, expectedOf, numberText } from '../config-value.ts';
import { commonFlags } from './arguments.ts';
import type { Command, Flag } from './command.ts';

const COLUMNS = 100;

export function commandListText(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    'Sluice: a durable message broker for WebSocket clients. What was acknowledged is kept.',
    '',
    'Usage: sluice <command> [flags]',
    '',
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    '`sluice <command> --help` shows the flags of one command, their units and defaults.',
    '',
  ].join('\n');
}

export function commandText(command: Command): string {
  const lines = command.forms.map(
    (form, index) => `${index === 0 ? 'Usage: ' : '       '}sluice ${command.name}${form === '' ? '' : ` ${form}`}`,
  );
  for (const paragraph of command.about) lines.push('', ...wrap(paragraph, COLUMNS));
  lines.push('', 'Flags:');
  for (const [name, flag] of Object.entries({ ...command.flags, ...commonFlags })) lines.push(...flagLines(name, flag));
  if (command.flagHelp !== undefined) lines.push(command.flagHelp());
  lines.push('', 'Exit codes:');
  const width = Math.max(...command.exits.map(([code]) => code.length));
  for (const [code, meaning] of command.exits) lines.push(...hang(`  ${code.padEnd(width)}  `, meaning));
  if (command.examples.length > 0) lines.push('', 'Examples:', ...command.examples.map((example) => `  ${example}`));
  return `${lines.join('\n')}\n`;
}

/** The settings of the broker as flags, by section. */
export function settingFlagsText(): string {
  const lines: string[] = [];
  for (const { title, names } of settingSections) {
    lines.push('', `${title}:`);
    for (const name of names) {
      const setting = settings[name];
      const shown = defaultText(setting);
      lines.push(
        `  ${flagOf(name)}${setting.kind === 'switch' ? `, --no-${flagOf(name).slice(2)}` : ` ${placeholderOf(setting.kind === 'number' ? setting.unit : setting.kind)}`}`,
        ...hang('      ', setting.text),
        ...hang(
          '      ',
          `${capital(expectedOf(setting))}. Default ${shown === '' ? 'empty' : shown}: ${setting.reason}`,
        ),
        ...hang('      ', `Variable ${variableOf(name)}.`),
      );
    }
  }
  return lines.join('\n');
}

function flagLines(name: string, flag: Flag): string[] {
  const placeholder =
    flag.kind === 'switch'
      ? ''
      : ` ${flag.placeholder ?? placeholderOf(flag.kind === 'number' ? flag.unit : flag.kind)}`;
  const lines = [
    `  --${name}${placeholder}${flag.kind === 'list' ? '  (may be repeated)' : ''}`,
    ...hang('      ', flag.text),
  ];
  if (flag.kind === 'choice') lines.push(...hang('      ', `One of ${flag.choices.join(', ')}.`));
  if (flag.kind === 'number' && flag.unit !== 'count') {
    lines.push(...hang('      ', `${capital(flag.unit === 'bytes' ? BYTES_FORM : MS_FORM)}.`));
  }
  const notes: string[] = [];
  if ('default' in flag && flag.default !== undefined) {
    const shown = flag.kind === 'number' ? numberText(flag.unit, flag.default) : flag.default;
    notes.push(
      `Default ${shown}${flag.reason === undefined ? '' : `: ${flag.reason}`}${flag.reason?.endsWith('.') ? '' : '.'}`,
    );
  }
  if (flag.variable !== undefined) notes.push(`Variable ${flag.variable}.`);
  if (notes.length > 0) lines.push(...hang('      ', notes.join(' ')));
  return lines;
}

function placeholderOf(kind: string): string {
  const placeholders: Readonly<Record<string, string>> = {
    bytes: 'SIZE',
    ms: 'DURATION',
    count: 'N',
    port: 'PORT',
    text: 'TEXT',
    list: 'TEXT',
    choice: 'NAME',
  };
  return placeholders[kind] ?? 'VALUE';
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function hang(lead: string, text: string): string[] {
  return wrap(text, COLUMNS - lead.length).map((line, index) => (index === 0 ? lead : ' '.repeat(lead.length)) + line);
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}
