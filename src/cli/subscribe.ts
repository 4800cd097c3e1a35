/**
 * `sluice subscribe`: prints the records of a topic, from where it is told, for as long as it is told. Reads no faster
 * than its output is read; with `--commit` an offset is committed only after its record has left for the output.
 */
import type { Client, GapEvent } from '../client/index.ts';
import { PARTITIONS_MAX, topicNameFault } from '../domain/topic.ts';
import { parseArguments, usageFailure } from './arguments.ts';
import { connectBroker, connectionFlags } from './broker-connection.ts';
import type { Arguments, Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { EndWatch } from './end-watch.ts';
import { EXIT_OK } from './failure.ts';
import { RecordPrinter } from './record-printer.ts';
import { FROM_FORM, parseFrom } from './start-position.ts';
import { countText } from './table.ts';
import { type Interrupts, interruptedExit, type Terminal } from './terminal.ts';

const flags = {
  from: {
    kind: 'text',
    placeholder: 'WHERE',
    text: `Where to begin: ${FROM_FORM}. Without it \`committed\` with a --group, \`latest\` otherwise; \`committed\` without a commit begins at the earliest.`,
  },
  group: { kind: 'text', placeholder: 'NAME', text: 'Name under which offsets are committed.' },
  commit: { kind: 'switch', text: 'Commit what was printed, under --group.' },
  partition: { kind: 'list', placeholder: 'N', text: 'Only this partition.' },
  count: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    text: 'End after so many records.',
  },
  'until-end': { kind: 'switch', text: 'End at what was the end of each partition at the start.' },
  format: {
    kind: 'choice',
    choices: ['lines', 'jsonl', 'raw'],
    default: 'lines',
    text: 'The value on a line, the whole record as a line of JSON, or the bytes of values with nothing between.',
  },
  credit: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: 1_000_000,
    default: 10_000,
    text: 'Records that may be on their way.',
    reason: 'keeps a fast link busy and memory small',
  },
  ...connectionFlags,
} as const satisfies Flags;

type SubscribeFlags = Arguments<typeof flags>['flags'];

export const subscribe: Command = {
  name: 'subscribe',
  summary: 'print the records of a topic',
  forms: ['<topic>'],
  about: [
    'Records of one partition come in order; partitions are mixed. Without --count and --until-end it goes on until Ctrl-C, which ' +
      'is its ordinary end. After a lost connection it goes on where it was. Records that retention took before they could be ' +
      'printed are told on standard error.',
  ],
  flags,
  exits: [...commonExits, ['130', 'stopped by Ctrl-C before --count or --until-end was reached (143: by SIGTERM)']],
  examples: [
    'sluice subscribe orders --from earliest --until-end',
    'sluice subscribe orders --from last:10 --format jsonl',
    'sluice subscribe orders --group billing --commit --format jsonl | ./bill',
  ],
  run: async (argv, terminal) => {
    const parsed = parseArguments('subscribe', flags, { required: ['topic'], more: 0 }, argv, terminal.environment);
    const [topic = ''] = parsed.positionals;
    const request = readRequest(topic, parsed.flags);
    const interrupts = terminal.interrupts();
    try {
      const client = await connectBroker(parsed.flags, terminal, interrupts.first);
      const closeNow = (): void => void client.close();
      interrupts.second.addEventListener('abort', closeNow, { once: true });
      try {
        return await printRecords(client, request, parsed.flags, terminal, interrupts);
      } finally {
        await client.close();
      }
    } finally {
      interrupts.release();
    }
  },
};

interface Request {
  readonly topic: string;
  readonly from: ReturnType<typeof parseFrom>;
  /** Null: all. */
  readonly partitions: readonly number[] | null;
}

function readRequest(topic: string, given: SubscribeFlags): Request {
  const faults: string[] = [];
  const topicFault = topicNameFault(topic);
  if (topicFault !== null) faults.push(topicFault);
  const from = given.from === undefined ? null : parseFrom(given.from);
  if (given.from !== undefined && from === null) {
    faults.push(`--from: got ${JSON.stringify(given.from)}; expected ${FROM_FORM}`);
  }
  if (from === 'committed' && given.group === undefined) faults.push('--from committed needs a --group');
  if (given.commit && given.group === undefined) faults.push('--commit needs a --group to commit under');
  const partitions = given.partition.map((text) => (/^\d{1,4}$/.test(text) ? Number(text) : Number.NaN));
  for (const [index, partition] of partitions.entries()) {
    if (!(partition < PARTITIONS_MAX)) {
      faults.push(
        `--partition: got ${JSON.stringify(given.partition[index])}; expected a whole number from 0 to ${PARTITIONS_MAX - 1}`,
      );
    }
  }
  if (faults.length > 0) throw usageFailure('subscribe', faults);
  return { topic, from, partitions: partitions.length === 0 ? null : [...new Set(partitions)] };
}

async function printRecords(
  client: Client,
  request: Request,
  given: SubscribeFlags,
  terminal: Terminal,
  interrupts: Interrupts,
): Promise<number> {
  const { topic, from, partitions } = request;
  const end = new AbortController();
  const subscription = client.subscribe(topic, {
    ...(from === null ? {} : { from }),
    ...(given.group === undefined ? {} : { group: given.group }),
    ...(partitions === null ? {} : { partitions }),
    credit: given.credit,
    signal: end.signal,
  });
  const printer = new RecordPrinter(subscription, given, terminal, end);
  const enough = (): void => printer.stop();
  interrupts.first.addEventListener('abort', enough, { once: true });
  terminal.stdout.gone.addEventListener('abort', enough, { once: true });
  if (interrupts.first.aborted) enough();
  let done = false;
  try {
    const begun = await subscription.ready;
    const watch = new EndWatch(given.count ?? Number.POSITIVE_INFINITY, given['until-end'] ? begun : null);
    client.on('gap', (gap) => {
      tellGap(gap, terminal);
      watch.reach(gap.partition, gap.offset);
      if (watch.done) printer.stop();
    });
    await printer.run(watch);
    done = watch.done;
  } catch (error) {
    // Told to stop before the broker had answered: there is nothing that could be wrong.
    if (!end.signal.aborted) throw error;
  }
  const ordinary = given.count === undefined && !given['until-end'];
  if (done || ordinary || !interrupts.first.aborted) return EXIT_OK;
  return interruptedExit(interrupts.first.reason);
}

function tellGap(gap: GapEvent, terminal: Terminal): void {
  const why = gap.reason === 'retention' ? 'retention took them' : 'a crash of the broker cost them';
  terminal.stderr.write(
    `${gap.topic} partition ${gap.partition}: records ${countText(gap.from)} to ${countText(gap.to - 1)} cannot be given: ${why}\n`,
  );
  void terminal.stderr.flush();
}
