/** The admin endpoint of a running broker, over HTTP: flags of the commands that use it, requests, and their errors. */
import { formatMs } from '../config-quantity.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import type { Flags } from './command.ts';
import { CommandFailure } from './failure.ts';

export const adminFlags = {
  admin: {
    kind: 'text',
    placeholder: 'URL',
    default: 'http://127.0.0.1:7071',
    variable: 'SLUICE_ADMIN_URL',
    text: 'The admin endpoint of the broker.',
    reason: 'where `sluice serve` has it by default',
  },
  'admin-token': {
    kind: 'text',
    placeholder: 'TOKEN',
    variable: 'SLUICE_ADMIN_TOKEN',
    text: 'Token, where the endpoint asks for one; better given by the variable, since others can read flags.',
  },
} as const satisfies Flags;

export interface AdminFlagValues {
  readonly admin: string;
  readonly 'admin-token': string | undefined;
}

/** Longest time for one answer. */
const ANSWER_MS = 10_000;
/** Longest event of a stream. */
const EVENT_CHARS_MAX = 4 * 1024 * 1024;

export type JsonObject = Readonly<Record<string, unknown>>;

export class Admin {
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;

  /** Throws USAGE where the URL is none. */
  constructor(flags: AdminFlagValues) {
    const base = URL.canParse(flags.admin) ? new URL(flags.admin) : null;
    if (base === null || !/^https?:$/.test(base.protocol)) {
      throw new CommandFailure(
        'USAGE',
        `--admin: got ${JSON.stringify(flags.admin)}; expected a URL such as http://127.0.0.1:7071`,
      );
    }
    this.#base = base;
    const token = flags['admin-token'];
    this.#headers = token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` };
  }

  get(path: string): Promise<JsonObject> {
    return this.#request('GET', path, null);
  }

  post(path: string, body: JsonObject): Promise<JsonObject> {
    return this.#request('POST', path, body);
  }

  /**
   * Server-sent events, each a JSON object, as they come; ends when the endpoint ends them. A broker that answers with
   * one object in place of a stream gives that one. Rejects like `get`, and when nothing comes for `silenceMs`.
   */
  async *watch(path: string, silenceMs: number): AsyncGenerator<JsonObject> {
    const url = new URL(path, this.#base);
    const place = `${this.#base.origin}${path}`;
    const abort = new AbortController();
    const silence = setTimeout(() => abort.abort(new DOMException('silent', 'TimeoutError')), silenceMs);
    try {
      const response = await fetch(url, { headers: this.#headers, signal: abort.signal });
      if (response.body === null || !/^text\/event-stream\b/.test(response.headers.get('content-type') ?? '')) {
        const text = await response.text();
        const json = objectOf(text);
        if (json === null || !response.ok) throw answerFailure(place, response.status, json, text);
        yield json;
        return;
      }
      for await (const event of eventsOf(response.body, () => silence.refresh())) yield event;
    } catch (error) {
      throw error instanceof CommandFailure ? error : requestFailure(place, error, silenceMs);
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  /** Rejects with UNREACHABLE when nothing listens, UNEXPECTED_ANSWER for a refusal or what is not a JSON object. */
  async #request(method: 'GET' | 'POST', path: string, body: JsonObject | null): Promise<JsonObject> {
    const url = new URL(path, this.#base);
    const place = `${this.#base.origin}${path}`;
    let status: number;
    let text: string;
    try {
      const response = await fetch(url, {
        method,
        headers: { ...this.#headers, ...(body === null ? {} : { 'content-type': 'application/json' }) },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      status = response.status;
      text = await response.text();
    } catch (error) {
      throw requestFailure(place, error, ANSWER_MS);
    }
    const json = objectOf(text);
    // A broker that is going answers some requests with 503 and its state all the same.
    if (json !== null && (status < 400 || status === 503)) return json;
    throw answerFailure(place, status, json, text);
  }
}

/** The data of each event that is a JSON object; others, and comments, say nothing. */
async function* eventsOf(body: ReadableStream<Uint8Array>, onChunk: () => void): AsyncGenerator<JsonObject> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    onChunk();
    const blocks = `${rest}${decoder.decode(chunk, { stream: true })}`.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    if (rest.length > EVENT_CHARS_MAX) throw new Error(`an event of over ${EVENT_CHARS_MAX} characters`);
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith('data:'));
      const event = objectOf(lines.map((line) => line.slice('data:'.length).trimStart()).join('\n'));
      if (event !== null) yield event;
    }
  }
}

function requestFailure(place: string, error: unknown, withinMs: number): CommandFailure {
  if ((error as Error).name === 'TimeoutError') {
    return new CommandFailure('UNEXPECTED_ANSWER', `no answer from ${place} within ${formatMs(withinMs)}`, {
      cause: error,
    });
  }
  const cause = (error as Error).cause ?? error;
  return new CommandFailure('UNREACHABLE', `nothing answers at ${place}: ${systemCodeOf(cause) ?? messageOf(cause)}`, {
    cause: error,
    hint: 'Is the broker running? Say where its admin endpoint is with --admin.',
  });
}

function answerFailure(place: string, status: number, json: JsonObject | null, text: string): CommandFailure {
  const said = json?.['message'] ?? json?.['error'] ?? (text.trim().split('\n')[0] ?? '').slice(0, 200);
  const hint =
    status === 401 || status === 403
      ? 'Give the token by --admin-token or SLUICE_ADMIN_TOKEN.'
      : 'Is this the admin endpoint of a Sluice broker? Say where it is with --admin.';
  const what = json === null && status < 400 ? 'not with a JSON object' : String(said);
  return new CommandFailure('UNEXPECTED_ANSWER', `${place} answered ${status}: ${what}`, { hint });
}

export function objectOf(text: string): JsonObject | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as JsonObject) : null;
  } catch {
    // Not JSON is an answer too; the caller says what was expected.
    return null;
  }
}
