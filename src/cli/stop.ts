/**
 * `sluice stop`: asks a running broker to shut down. With `--wait` it follows phases and shards, stays until the broker
 * is gone, and ends with the broker's own exit code, so that a deploy script needs no other look.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatMs } from '../config-quantity.ts';
import { systemCodeOf } from '../errors.ts';
import { Admin, adminFlags, type JsonObject, objectOf } from './admin.ts';
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { CommandFailure, EXIT_OK } from './failure.ts';
import { reportedExit, reportOf, reportText } from './shutdown-report.ts';
import { shutdownStates } from './shutdown-states.ts';
import { shutdownView } from './shutdown-view.ts';
import { StopProgress } from './stop-progress.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 200;
/** The report is written after the admin endpoint has closed; this long is looked for it. */
const REPORT_MS = 3000;

const flags = {
  wait: { kind: 'switch', text: 'Follow the shutdown until the broker is gone; ends with its exit code.' },
  mode: {
    kind: 'choice',
    choices: ['graceful', 'fast', 'immediate'],
    default: 'graceful',
    text: 'How: `fast` does not wait for consumers and paces nothing but flushes, `immediate` flushes nothing.',
  },
  reason: { kind: 'text', text: 'Why, for the log and the report.' },
  'for-good': { kind: 'switch', text: 'No broker comes back in its place: clients are closed with 1001, not 1012.' },
  timeout: {
    kind: 'number',
    unit: 'ms',
    min: 1,
    max: 86_400_000,
    default: 3_600_000,
    text: 'With --wait, the longest time to wait.',
    reason: 'no grace period is longer',
  },
  json: { kind: 'switch', text: 'With --wait, print the report as JSON on standard output.' },
  ...adminFlags,
} as const satisfies Flags;

export const stop: Command = {
  name: 'stop',
  summary: 'shut a running broker down',
  forms: ['[--wait]'],
  about: [
    'Without --wait it returns as soon as the broker has taken the request. Asking again with a harder --mode escalates; a ' +
      'softer one changes nothing.',
  ],
  flags,
  exits: [
    ...commonExits,
    ['20', 'with --wait: a shard was abandoned at its deadline'],
    ['21', 'with --wait: a flush failed'],
    ['22', 'with --wait: forced by an operator'],
    ['23', 'with --wait: a fatal error of the broker'],
  ],
  examples: ['sluice stop --wait', 'sluice stop --mode fast --wait --reason "node drain"'],
  run: async (argv, terminal) => {
    const { flags: given } = parseArguments('stop', flags, { required: [], more: 0 }, argv, terminal.environment);
    const admin = new Admin(given);
    const before = given.wait ? await lastReport(await dataOf(admin)) : null;
    const answer = await admin.post('/stop', {
      mode: given.mode,
      ...(given.reason === undefined ? {} : { reason: given.reason }),
      ...(given['for-good'] ? { returning: false } : {}),
    });
    if (!given.wait) {
      terminal.stdout.write(`asked to stop (${given.mode})\n`);
      return EXIT_OK;
    }
    const report = await follow(admin, answer, before, given.timeout, terminal);
    if (report === null) {
      throw new CommandFailure('UNEXPECTED_ANSWER', 'the broker is gone, and no report of its shutdown was found', {
        hint: 'Its log and last-shutdown.json in its data directory say how it ended; they may be on another machine.',
      });
    }
    terminal.stdout.write(given.json ? `${JSON.stringify(report)}\n` : reportText(report));
    return reportedExit(report) ?? EXIT_OK;
  },
};

interface LastReport {
  /** The data directory of the broker; null where it did not tell. */
  readonly data: string | null;
  /** Text of `last-shutdown.json` at the time; null where there is none here. */
  readonly text: string | null;
}

async function dataOf(admin: Admin): Promise<string | null> {
  const { data } = await admin.get('/status');
  return typeof data === 'string' ? data : null;
}

async function lastReport(data: string | null): Promise<LastReport> {
  if (data === null) return { data, text: null };
  try {
    return { data, text: await readFile(join(data, 'last-shutdown.json'), 'utf8') };
  } catch (error) {
    // None yet, or the broker runs on another machine: then what the endpoint tells has to do.
    if (systemCodeOf(error) === undefined) throw error;
    return { data, text: null };
  }
}

async function follow(
  admin: Admin,
  first: JsonObject,
  before: LastReport | null,
  timeoutMs: number,
  terminal: Terminal,
): Promise<JsonObject | null> {
  const startedAt = terminal.now();
  const progress = new StopProgress(terminal);
  let phase: string | null = null;
  let report = reportOf(first);
  try {
    for await (const answer of shutdownStates(admin, first, terminal)) {
      report = reportOf(answer) ?? report;
      const view = shutdownView(answer);
      phase = view.phase ?? phase;
      await progress.show(view);
      if (terminal.now() - startedAt > timeoutMs) {
        throw new CommandFailure(
          'INTERRUPTED',
          `the broker is still there after ${formatMs(timeoutMs)}, in phase ${phase ?? 'unknown'}`,
        );
      }
    }
  } finally {
    progress.end();
  }
  const goneAt = terminal.now();
  for (;;) {
    const found = before === null ? null : await lastReport(before.data);
    const written = found?.text !== null && found?.text !== before?.text ? objectOf(found?.text ?? '') : null;
    if (written !== null) return reportOf(written) ?? report;
    if (report !== null || terminal.now() - goneAt > REPORT_MS) return report;
    await terminal.sleep(POLL_MS);
  }
}
