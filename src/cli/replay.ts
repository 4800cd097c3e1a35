/** `sluice replay`: opens a recording in the console, with no broker. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf, systemCodeOf } from '../errors.ts';
import { withPictures } from '../inspection/missing-pictures.ts';
import { PageServer } from '../inspection/page-server.ts';
import { recordingFault } from '../inspection/recording.ts';
import { systemClock } from '../ports/clock.ts';
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { CommandFailure, EXIT_OK } from './failure.ts';

/** Longest first line of a recording, bytes. */
const HEADER_BYTES_MAX = 4096;
const PATH = '/recording.jsonl';
/** Time after which it looks whether it was told to stop, ms; it is told at once, and this only keeps the process. */
const WAIT_MS = 60_000;

const flags = {
  port: {
    kind: 'number',
    unit: 'count',
    min: 0,
    max: 65_535,
    default: 0,
    placeholder: 'N',
    text: 'Port of the page; 0 takes a free one.',
  },
} as const satisfies Flags;

export const replay: Command = {
  name: 'replay',
  summary: 'open a recording in the console, with no broker',
  forms: ['<file>'],
  about: [
    'Serves the console and the recording on this machine alone, prints the address, and stays until Ctrl-C. A recording ' +
      'is made by `sluice record`, or exported by the console.',
  ],
  flags,
  exits: commonExits,
  examples: ['sluice replay last-night.jsonl'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('replay', flags, { required: ['file'], more: 0 }, argv, terminal.environment);
    const [path = ''] = parsed.positionals;
    await checkRecording(path);
    const complain = (what: string): void => void terminal.stderr.write(`sluice replay: ${what}\n`);
    const server = new PageServer({
      host: '127.0.0.1',
      port: parsed.flags.port,
      token: '',
      clock: systemClock,
      hub: null,
      answer: async (asked, response) => {
        if (asked !== PATH) return false;
        await sendFile(path, response, complain);
        return true;
      },
      failed: (error, what) => complain(`${what}: ${messageOf(error)}`),
    });
    const interrupts = terminal.interrupts();
    try {
      const url = await server.listen();
      terminal.stdout.write(`${url}\n`);
      await terminal.stdout.flush();
      // The page server keeps no process: this does.
      while (!interrupts.first.aborted) {
        await terminal.sleep(WAIT_MS, interrupts.first).catch((error: unknown) => {
          if (!interrupts.first.aborted) throw error;
        });
      }
      return EXIT_OK;
    } finally {
      await server.close('the replay ended');
      interrupts.release();
    }
  },
};

/** Throws BAD_INPUT when the file can't be read, or is no recording. */
async function checkRecording(path: string): Promise<void> {
  let head: string;
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES_MAX), 0, HEADER_BYTES_MAX, 0);
      head = buffer.subarray(0, bytesRead).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new CommandFailure('BAD_INPUT', `${path} can't be read: ${systemCodeOf(error) ?? messageOf(error)}`, {
      cause: error,
    });
  }
  const fault = head === '' ? 'it is empty' : recordingFault(head.split('\n')[0] ?? '');
  if (fault !== null) {
    throw new CommandFailure('BAD_INPUT', `${path} is no recording: ${fault}`, {
      hint: '`sluice record --output FILE` makes one from a running broker.',
    });
  }
}

async function sendFile(path: string, response: ServerResponse, complain: (what: string) => void): Promise<void> {
  async function* text(): AsyncGenerator<string> {
    for await (const line of withPictures(linesOf(path), complain)) yield `${line}\n`;
  }
  response.writeHead(200, {
    'content-type': 'application/x-ndjson',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  await pipeline(Readable.from(text()), response).catch((error: unknown) => {
    // A page that is closed while it reads is no fault.
    if (systemCodeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, 'utf8')) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
