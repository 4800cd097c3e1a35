/** The flags of `sluice publish`, which of them go together, and what they make of its input. */
import { PARTITIONS_MAX, topicNameFault } from '../domain/topic.ts';
import { usageFailure } from './arguments.ts';
import { connectionFlags } from './broker-connection.ts';
import type { Arguments, Flags } from './command.ts';
import type { InputForm } from './publish-input.ts';

/** Bytes of a frame beside key, headers and value: its own header with the topic's name, the batch's and the record's. */
const FRAME_OVERHEAD_BYTES = 640;

export const NEWLINE = 10;

export const publishFlags = {
  format: {
    kind: 'choice',
    choices: ['lines', 'jsonl', 'file'],
    default: 'lines',
    text: 'What a record is: a line without its end, a line of JSON with key, value, headers, partition, or a whole file.',
  },
  key: { kind: 'text', placeholder: 'KEY', text: 'Key of every record; a line of JSON may say another.' },
  'key-from': {
    kind: 'choice',
    choices: ['none', 'file'],
    default: 'none',
    text: 'With `file`, the key of a record is the path of its file, as given.',
  },
  header: { kind: 'list', placeholder: 'NAME=VALUE', text: 'A header of every record.' },
  partitions: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: PARTITIONS_MAX,
    text: 'Make the topic with so many partitions; refused where it exists with another number.',
  },
  producer: {
    kind: 'text',
    placeholder: 'ID',
    text: 'Publish under this id, so that a run that was cut off can be resumed.',
  },
  resume: {
    kind: 'switch',
    text: 'Leave out what --producer has stored already. Give the same inputs in the same order as before.',
  },
  'files-from': {
    kind: 'switch',
    text: 'The inputs named are not the files but lists of them, a path on each line: for more files than fit on a command line.',
  },
  null: { kind: 'switch', text: 'Lines end with a NUL byte instead of a newline, those of --files-from too.' },
  'keep-line-ends': {
    kind: 'switch',
    text: 'A record keeps the end of its line, so that `subscribe --format raw` gives back the input byte for byte.',
  },
  ...connectionFlags,
} as const satisfies Flags;

export type PublishFlags = Arguments<typeof publishFlags>['flags'];

/** Throws USAGE that names every fault. */
export function checkPublish(topic: string, paths: readonly string[], given: PublishFlags): void {
  const faults: string[] = [];
  const topicFault = topicNameFault(topic);
  if (topicFault !== null) faults.push(topicFault);
  if (given.resume && given.producer === undefined) faults.push('--resume needs the --producer id of the run before');
  if (given.key !== undefined && given['key-from'] === 'file')
    faults.push('--key and --key-from file exclude each other');
  const readsStdin = (paths.length === 0 || paths.includes('-')) && !given['files-from'];
  if (given['key-from'] === 'file' && readsStdin) {
    faults.push('--key-from file: standard input has no path; give files, or --key');
  }
  if (given.format === 'file' && (given['keep-line-ends'] || (given.null && !given['files-from']))) {
    faults.push('--format file has no lines: --null and --keep-line-ends do not go with it');
  }
  for (const header of given.header) {
    if (header.indexOf('=') < 1) faults.push(`--header: got ${JSON.stringify(header)}; expected NAME=VALUE`);
  }
  if (faults.length > 0) throw usageFailure('publish', faults);
}

/** `frameBytes`: largest frame that the broker takes. */
export function inputForm(given: PublishFlags, frameBytes: number): InputForm {
  const headers = given.header.map((header) => {
    const split = header.indexOf('=');
    return [header.slice(0, split), header.slice(split + 1)] as const;
  });
  const recordBytesMax = Math.max(1, frameBytes - FRAME_OVERHEAD_BYTES);
  return {
    format: given.format,
    lineEnd: given.null ? 0 : NEWLINE,
    keepLineEnd: given['keep-line-ends'],
    // A line of JSON is longer than its value: base64 by a third, escapes by more.
    readBytesMax: given.format === 'jsonl' ? frameBytes * 2 : recordBytesMax,
    recordBytesMax,
    defaultsOf: (path) => {
      const key = given['key-from'] === 'file' ? path : given.key;
      return {
        key: key === undefined ? null : Buffer.from(key, 'utf8'),
        headers: headers.length === 0 ? null : Object.fromEntries(headers),
      };
    },
  };
}
