/** Every command by its name, and what is done with a command line: find the command, run it, print what it throws. */
import { didYouMean } from '../nearest-name.ts';
import type { Command } from './command.ts';
import { CommandFailure, EXIT_OK, errorText, exitCodeOf } from './failure.ts';
import { groups } from './groups.ts';
import { commandListText, commandText } from './help.ts';
import { inspectLog } from './inspect-log.ts';
import { lag } from './lag.ts';
import { publish } from './publish.ts';
import { record } from './record.ts';
import { replay } from './replay.ts';
import { serve } from './serve.ts';
import { status } from './status.ts';
import { stop } from './stop.ts';
import { subscribe } from './subscribe.ts';
import type { Terminal } from './terminal.ts';
import { topics } from './topics.ts';
import { verify } from './verify.ts';
import { version } from './version.ts';

export const commands: readonly Command[] = [
  serve,
  publish,
  subscribe,
  topics,
  groups,
  lag,
  status,
  stop,
  record,
  replay,
  inspectLog,
  verify,
  version,
];

/** Runs a command line (without `node` and the script); resolves with the exit code and never rejects for a command's error. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name = 'help', ...rest] = argv;
  let title = 'sluice';
  try {
    if (name === 'help' || name === '--help' || name === '-h') return showHelp(rest, terminal);
    if (name === '--version') return await version.run([], terminal);
    const command = commandOf(name);
    title = `sluice ${command.name}`;
    if (asksForHelp(rest)) {
      terminal.stdout.write(commandText(command));
      return EXIT_OK;
    }
    const code = await command.run(rest, terminal);
    await terminal.stdout.flush();
    return code;
  } catch (error) {
    terminal.stderr.write(`${errorText(title, error, beforeTerminator(argv).includes('--verbose'))}\n`);
    return exitCodeOf(error);
  }
}

function showHelp([name]: readonly string[], terminal: Terminal): number {
  terminal.stdout.write(
    name === undefined || name.startsWith('-') ? commandListText(commands) : commandText(commandOf(name)),
  );
  return EXIT_OK;
}

function commandOf(name: string): Command {
  const command = commands.find((known) => known.name === name);
  if (command !== undefined) return command;
  const hint = didYouMean(name, [...commands.map((known) => known.name), 'help']);
  throw new CommandFailure('USAGE', `${JSON.stringify(name)} is no command${hint}`, {
    hint: '`sluice help` lists the commands.',
  });
}

function asksForHelp(argv: readonly string[]): boolean {
  return beforeTerminator(argv).some((word) => word === '--help' || word === '-h');
}

/** What stands behind `--` is never a flag. */
function beforeTerminator(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end < 0 ? argv : argv.slice(0, end);
}
