/**
 * `sluice publish`: the lines of files or of standard input as records. Streams: holds a bounded window of records that
 * are not acknowledged. Ends with 0 only when every record of every input is acknowledged. With a producer id a run
 * that was cut off can be resumed: each record is stored once.
 */
import type { Client } from '../client/index.ts';
import { defaults } from '../config.ts';
import { messageOf } from '../errors.ts';
import { parseArguments } from './arguments.ts';
import { connectBroker } from './broker-connection.ts';
import type { Command } from './command.ts';
import { commonExits } from './command.ts';
import { CommandFailure, EXIT_OK } from './failure.ts';
import type { InputRecord } from './input-record.ts';
import { PartitionPlan } from './partition-plan.ts';
import { Progress } from './progress.ts';
import { checkPublish, inputForm, NEWLINE, type PublishFlags, publishFlags } from './publish-flags.ts';
import { findInputs, type InputSource, readFileList, readInputs } from './publish-input.ts';
import { PublishWindow } from './publish-window.ts';
import { countText, roughBytes, roughMs } from './table.ts';
import { type Interrupts, interruptedExit, type Terminal } from './terminal.ts';

export const publish: Command = {
  name: 'publish',
  summary: 'publish lines, JSON lines or files as records',
  forms: ['<topic> [file…]', '<topic> -', '<topic> --files-from [list…]'],
  about: [
    'Reads the files in order, or standard input where there is none or the file is -. A line is bytes: it is stored as it ' +
      'is, empty ones too, and a last line without its end as well. Records of one partition are stored in the order of the input.',
    'Ends with 0 only when every record is acknowledged. The first record that is refused ends the run: what was given ' +
      'before it is waited for, and nothing after it is read. Ctrl-C stops reading and waits for the acks that are due; a ' +
      'second Ctrl-C does not wait.',
  ],
  flags: publishFlags,
  exits: [
    ...commonExits,
    ['130', 'stopped by Ctrl-C before the end of the input (143: by SIGTERM); what was acknowledged is stored'],
  ],
  examples: [
    'echo hello | sluice publish greetings',
    'sluice publish logs --key-from file /var/log/*.log',
    'find . -name "*.ts" | sluice publish sources --files-from --key-from file',
    'sluice publish orders --format jsonl --producer import-7 --resume orders.jsonl',
  ],
  run: async (argv, terminal) => {
    const parsed = parseArguments(
      'publish',
      publishFlags,
      { required: ['topic'], more: Infinity },
      argv,
      terminal.environment,
    );
    const [topic = '', ...paths] = parsed.positionals;
    checkPublish(topic, paths, parsed.flags);
    const lineEnd = parsed.flags.null ? 0 : NEWLINE;
    const files = parsed.flags['files-from'] ? await readFileList(paths, lineEnd, terminal.stdin) : paths;
    const sources = parsed.flags['files-from'] && files.length === 0 ? [] : await findInputs(files);
    const interrupts = terminal.interrupts();
    try {
      const { producer } = parsed.flags;
      const options = producer === undefined ? {} : { producer };
      const client = await connectBroker(parsed.flags, terminal, interrupts.first, options);
      const closeNow = (): void => void client.close();
      interrupts.second.addEventListener('abort', closeNow, { once: true });
      interrupts.first.addEventListener('abort', () => {
        terminal.stderr.write('no more is read; waiting for the acks that are due, Ctrl-C again does not wait\n');
        void terminal.stderr.flush();
      });
      try {
        return await publishAll(client, topic, sources, parsed.flags, terminal, interrupts);
      } finally {
        await client.close();
      }
    } finally {
      interrupts.release();
    }
  },
};

async function publishAll(
  client: Client,
  topic: string,
  sources: readonly InputSource[],
  given: PublishFlags,
  terminal: Terminal,
  interrupts: Interrupts,
): Promise<number> {
  const startedAt = terminal.now();
  const plan = await planPartitions(client, topic, given);
  const totalBytes = sources.reduce<number | null>(
    (sum, { bytes }) => (sum === null || bytes === null ? null : sum + bytes),
    0,
  );
  const progress = new Progress(terminal.progressStream, totalBytes, () => terminal.now());
  let readBytes = 0;
  const window = new PublishWindow(() => progress.show(window, readBytes));
  const stop = new AbortController();
  let skipped = 0;
  let inputFault: unknown = null;
  const stopped = AbortSignal.any([interrupts.first, stop.signal]);
  try {
    const form = inputForm(given, client.welcome?.limits.frameBytes ?? defaults.frameBytes);
    for await (const piece of readInputs(sources, form, terminal.stdin, stopped)) {
      for (const record of piece.records) {
        if (window.firstRefusal !== null) break;
        const place = plan === null ? undefined : placeOf(plan, record);
        if (place?.stored === true) skipped += 1;
        else window.add(record, send(client, topic, record, place?.partition));
      }
      readBytes += piece.bytes;
      await window.room();
      if (window.firstRefusal !== null) stop.abort();
    }
  } catch (error) {
    inputFault = error;
  }
  // Once all is read an interrupt changes nothing, unless it is the second.
  const cutShort = stopped.aborted;
  try {
    await window.settled();
  } finally {
    progress.stop();
  }
  const summary = summaryText(topic, window, skipped, terminal.now() - startedAt);
  terminal.stderr.write(`${summary}\n`);
  if (inputFault !== null) throw inputFault;
  failOnRefusal(window, given);
  if (cutShort) return interruptedExit(interrupts.first.reason);
  failOnExcess(plan, given);
  return EXIT_OK;
}

/** With a producer id every record's partition is decided here; without one, records without a key go anywhere. */
async function planPartitions(client: Client, topic: string, given: PublishFlags): Promise<PartitionPlan | null> {
  if (given.partitions !== undefined) await client.createTopic(topic, { partitions: given.partitions });
  if (given.producer === undefined) return null;
  const { partitions } = await client.describe(topic, { create: true });
  const stored = await client.producerState(topic);
  if (stored.length > 0 && !given.resume) {
    throw new CommandFailure('REFUSED', `producer ${given.producer} has stored records on ${topic} before`, {
      hint: 'Give --resume to go on from there with the same inputs, or another --producer for a new run.',
    });
  }
  return new PartitionPlan(partitions, new Map(stored.map(({ partition, sequence }) => [partition, sequence])));
}

function placeOf(plan: PartitionPlan, record: InputRecord): { partition: number; stored: boolean } {
  try {
    return plan.place(record);
  } catch (error) {
    throw new CommandFailure('BAD_INPUT', `${record.place}: ${messageOf(error)}`, { cause: error });
  }
}

function send(client: Client, topic: string, record: InputRecord, partition: number | undefined) {
  const chosen = partition ?? record.partition;
  return client.publish(topic, {
    ...(record.key === null ? {} : { key: record.key }),
    ...(record.headers === null ? {} : { headers: record.headers }),
    ...(record.value === null ? {} : { value: record.value }),
    ...(chosen === undefined ? {} : { partition: chosen }),
  });
}

function summaryText(topic: string, window: PublishWindow, skipped: number, elapsedMs: number): string {
  const rate = roughBytes((window.ackedBytes * 1000) / Math.max(1, elapsedMs));
  const parts = [
    `published ${countText(window.acked)} records (${roughBytes(window.ackedBytes)}) to ${topic} in ${roughMs(elapsedMs)}, ${rate}/s`,
  ];
  if (skipped > 0) parts.push(`${countText(skipped)} left out, stored before`);
  if (window.duplicates > 0) parts.push(`${countText(window.duplicates)} sent again and stored once`);
  if (window.refused > 0) parts.push(`${countText(window.refused)} refused`);
  if (window.unknown > 0) parts.push(`${countText(window.unknown)} of unknown outcome`);
  return parts.join('; ');
}

function failOnRefusal(window: PublishWindow, given: PublishFlags): void {
  const first = window.firstRefusal;
  if (first === null) return;
  const { code, message } = first.error as { code?: unknown; message?: unknown };
  const what = window.refused > 0 ? 'was refused' : 'has an unknown outcome';
  throw new CommandFailure('REFUSED', `${first.place} ${what}: ${String(code ?? 'error')}: ${String(message)}`, {
    cause: first.error,
    ...(given.producer === undefined
      ? {}
      : { hint: `Go on with --producer ${given.producer} --resume and the same inputs.` }),
  });
}

function failOnExcess(plan: PartitionPlan | null, given: PublishFlags): void {
  const [first] = plan?.excess() ?? [];
  if (first === undefined) return;
  throw new CommandFailure(
    'REFUSED',
    `producer ${given.producer} has stored ${countText(first.stored)} records on partition ${first.partition}, and this input has ` +
      `only ${countText(first.given)} for it: it is not the input that was published before`,
  );
}
