/** `sluice record`: writes down what the console would see of a running broker, for `sluice replay`. */
import { messageOf, systemCodeOf } from '../errors.ts';
import { inspectProtocol, tokenProtocolPrefix } from '../inspection/frames.ts';
import { FileRecording } from '../inspection/recording.ts';
import { Admin, adminFlags, objectOf } from './admin.ts';
import { parseArguments } from './arguments.ts';
import type { Command, Flags } from './command.ts';
import { commonExits } from './command.ts';
import { CommandFailure, EXIT_OK } from './failure.ts';
import { countText, roughBytes } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Bytes that may wait for the disk: a broker does not wait for a recording. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

const flags = {
  output: { kind: 'text', placeholder: 'FILE', text: 'Where the recording goes; a new file.' },
  seconds: {
    kind: 'number',
    unit: 'count',
    min: 1,
    max: 7 * 24 * 3600,
    placeholder: 'N',
    text: 'Stop after so many seconds; else with Ctrl-C, or when the broker stops.',
  },
  ...adminFlags,
} as const satisfies Flags;

export const record: Command = {
  name: 'record',
  summary: 'write down what the console sees of a running broker',
  forms: ['--output FILE'],
  about: [
    'Follows every actor of the broker through its admin endpoint until Ctrl-C, until the broker stops, or for --seconds. ' +
      'Started before a shutdown, it has the whole of it. No record of a topic is in it. `sluice replay FILE` opens it.',
  ],
  flags,
  exits: commonExits,
  examples: ['sluice record --output shutdown.jsonl', 'sluice record --output minute.jsonl --seconds 60'],
  run: async (argv, terminal) => {
    const parsed = parseArguments('record', flags, { required: [], more: 0 }, argv, terminal.environment);
    const { output, seconds, admin, 'admin-token': token } = parsed.flags;
    if (output === undefined) throw new CommandFailure('USAGE', '--output FILE is missing');
    // Says why it can't be reached, where a WebSocket only fails.
    await new Admin(parsed.flags).get('/status');
    const recording = await create(output);
    const interrupts = terminal.interrupts();
    const url = new URL('/inspect', admin);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const end = await follow(url, token ?? '', recording, seconds, interrupts.first, terminal).finally(() =>
      interrupts.release(),
    );
    await recording.end().catch((error: unknown) => {
      throw writeFailure(output, error);
    });
    if (end !== null) throw new CommandFailure('UNEXPECTED_ANSWER', `${end}; what was seen until then is in ${output}`);
    terminal.stderr.write(`${countText(recording.batches)} batches, ${roughBytes(recording.bytes)}, in ${output}\n`);
    return EXIT_OK;
  },
};

/** What is used of a WebSocket, whichever it is. */
interface RecordedSocket {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: (() => void) | null;
  onclose: (() => void) | null;
  close(): void;
}

/** Resolves with null at the end that was asked for or that the broker told, else with what went wrong. */
function follow(
  url: URL,
  token: string,
  recording: FileRecording,
  seconds: number | undefined,
  stop: AbortSignal,
  { WebSocket }: Terminal,
): Promise<string | null> {
  const offered = token === '' ? [] : [`${tokenProtocolPrefix}${Buffer.from(token).toString('base64url')}`];
  const socket = new WebSocket(url.href, [inspectProtocol, ...offered]) as RecordedSocket;
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | null = null;
    let ended = false;
    const finish = (why: string | null): void => {
      if (timer !== null) clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
      socket.onmessage = null;
      socket.close();
      resolve(why);
    };
    const onStop = (): void => finish(null);
    if (seconds !== undefined) timer = setTimeout(() => finish(null), seconds * 1000);
    stop.addEventListener('abort', onStop);
    if (stop.aborted) onStop();
    socket.onmessage = ({ data }) => {
      const batch = typeof data === 'string' && !data.includes('\n') ? objectOf(data) : null;
      const frames = batch?.['frames'];
      if (!Array.isArray(frames)) finish('the endpoint sent what is no batch');
      // Its failure is told when the file is ended.
      else if (recording.failure !== null) finish(null);
      else if (recording.bufferedBytes > WAITING_BYTES_MAX) finish('the disk is slower than the broker');
      else {
        ended = (frames.at(-1) as { readonly type?: unknown } | undefined)?.type === 'end';
        recording.send(data as string);
      }
    };
    socket.onerror = () => {};
    socket.onclose = () => finish(ended ? null : `the connection to ${url.host} broke off`);
  });
}

async function create(path: string): Promise<FileRecording> {
  try {
    return await FileRecording.create(path);
  } catch (error) {
    throw writeFailure(path, error);
  }
}

function writeFailure(path: string, error: unknown): CommandFailure {
  const code = systemCodeOf(error);
  const why =
    code === 'EEXIST' ? 'is there already; choose another name' : `can't be written: ${code ?? messageOf(error)}`;
  return new CommandFailure('BAD_INPUT', `${path} ${why}`, { cause: error });
}
