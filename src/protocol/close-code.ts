/**
 * The WebSocket close codes that Sluice ends a connection with, and their reasons. 1000–1015 mean what RFC 6455 and the
 * IANA registry say; 4000–4099 are terminal, do not come back as you are; 4100–4199 ask to come back. A close that an
 * error causes has the code of its row in `errors.ts`, and a reason of `CODE: message`. `docs/protocol.md` carries this
 * table, held equal by a test.
 */

export interface CloseCodeRow {
  /** The same client may connect again, unchanged. */
  readonly comeBack: boolean;
  readonly meaning: string;
}

const table = {
  1001: { comeBack: true, meaning: 'The broker goes away, and is not known to start again here.' },
  1002: { comeBack: false, meaning: 'A frame does not follow the WebSocket protocol or the framing of binary frames.' },
  1007: { comeBack: false, meaning: 'A frame holds what is not UTF-8, or not a JSON object.' },
  1008: {
    comeBack: false,
    meaning: 'The client does not keep to a rule: no `hello` where one is required, a limit passed.',
  },
  1009: { comeBack: false, meaning: 'A frame is larger than `limits.frameBytes`.' },
  1011: { comeBack: true, meaning: 'A defect of the broker; logged with its cause.' },
  1012: { comeBack: true, meaning: 'The broker restarts. Come back after the time that `goaway` gave.' },
  1013: { comeBack: true, meaning: 'The broker serves as many connections as it may. Come back later.' },
  4000: { comeBack: false, meaning: 'The token is missing or wrong.' },
  4001: { comeBack: false, meaning: 'Another connection said `hello` with the same producer id.' },
  4100: { comeBack: true, meaning: 'The client did not read what it asked for. Resume from your offset.' },
  4101: { comeBack: true, meaning: 'No pong came: the connection was taken for dead.' },
} as const satisfies Record<number, CloseCodeRow>;

export type CloseCode = keyof typeof table;
export const closeCodeTable: Readonly<Record<CloseCode, CloseCodeRow>> = table;

/** Longest reason of a close frame, bytes of UTF-8: a control frame holds 125, two of them the code. */
export const CLOSE_REASON_BYTES_MAX = 123;

/** A reason that fits in a close frame: cut between two characters when it is too long. */
export function closeReason(text: string): string {
  const bytes = Buffer.from(text);
  let end = CLOSE_REASON_BYTES_MAX;
  // Behind the last byte of a text that fits there is none that would go on.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
