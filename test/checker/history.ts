/**
 * Judges a history: what clients sent and were told, gathered on their sockets, against what a data directory holds.
 * Knows nothing of the broker but its promises in `docs/protocol.md`.
 *
 * A record is known by its value, so values must be unique in their topic.
 */
import type { StoredRecord } from './batch-reader.ts';
import type { StoredDirectory } from './data-directory.ts';

export interface SentRecord {
  readonly topic: string;
  /** The value as text, as it is stored. */
  readonly value: string;
  /** Whose order counts: a connection, or a producer. Without one no order is checked. */
  readonly sender?: string;
}

export interface AckedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
  readonly key?: string | null;
  /** As JSON text, the way they are stored. */
  readonly headers?: string | null;
}

export interface History {
  /** Every sending, in order; a record that was sent again is there again. */
  readonly sent: readonly SentRecord[];
  readonly acked: readonly AckedRecord[];
  /** Answered by an error that says that nothing was stored, DRAINING among them; one for each such answer. */
  readonly refused: readonly SentRecord[];
  /** Answered by OUTCOME_UNKNOWN, or not at all. */
  readonly unknown: readonly SentRecord[];
}

/** Each list is empty when the promises were kept; its texts name topic, partition, offset and value. */
export interface Verdict {
  /** Acknowledged, and not stored there with those bytes. */
  readonly lost: readonly string[];
  /** Stored, and never sent. */
  readonly unknown: readonly string[];
  /** Stored more than once, or two records under one sequence of a producer. */
  readonly duplicates: readonly string[];
  /** Every sending was refused, yet it is stored. */
  readonly resurrected: readonly string[];
  /** Stored in another order than its sender sent them in. */
  readonly reordered: readonly string[];
  /** Offsets that are missing, or given out twice. */
  readonly gaps: readonly string[];
}

interface Placed {
  readonly topic: string;
  readonly partition: number;
  readonly record: StoredRecord;
  readonly value: string;
  /** Of topic and value. */
  readonly name: string;
}

/** What was sent under one name: by whom, and where in the order of sendings. */
interface Sendings {
  readonly sender: string | undefined;
  readonly places: number[];
}

/** One long history is judged against many directories: its index is kept until it grows. */
const indexes = new WeakMap<
  readonly SentRecord[],
  { readonly length: number; readonly sendings: Map<string, Sendings> }
>();

function sendingsOf(sent: readonly SentRecord[]): ReadonlyMap<string, Sendings> {
  const known = indexes.get(sent);
  if (known !== undefined && known.length === sent.length) return known.sendings;
  const sendings = new Map<string, Sendings>();
  sent.forEach((record, place) => {
    const name = nameOf(record);
    const before = sendings.get(name);
    if (before === undefined) sendings.set(name, { sender: record.sender, places: [place] });
    else before.places.push(place);
  });
  indexes.set(sent, { length: sent.length, sendings });
  return sendings;
}

export function checkHistory(history: History, stored: StoredDirectory): Verdict {
  const placed = placesOf(stored);
  const sendings = sendingsOf(history.sent);
  return {
    lost: lostOf(history.acked, stored),
    unknown: placed.filter(({ name }) => !sendings.has(name)).map(placeText),
    duplicates: [...storedTwice(placed), ...sequencesTwice(placed)],
    resurrected: resurrectedOf(history, sendings, placed),
    reordered: reorderedOf(sendings, placed),
    gaps: gapsOf(stored),
  };
}

/** True when every promise was kept. */
export function isKept(verdict: Verdict): boolean {
  return Object.values(verdict).every((list: readonly string[]) => list.length === 0);
}

function placesOf(stored: StoredDirectory): Placed[] {
  const placed: Placed[] = [];
  for (const [topic, { partitions }] of stored.topics) {
    for (const [partition, { records }] of partitions) {
      for (const record of records) {
        const value = textOf(record.value);
        placed.push({ topic, partition, record, value, name: nameOf({ topic, value }) });
      }
    }
  }
  return placed;
}

function lostOf(acked: readonly AckedRecord[], stored: StoredDirectory): string[] {
  const lost: string[] = [];
  for (const { topic, partition, offset, value, key, headers } of acked) {
    const record = stored.topics.get(topic)?.partitions.get(partition)?.records[offset];
    const found = record !== undefined && textOf(record.value) === value;
    if (found && fits(key, record.key) && fits(headers, record.headers)) continue;
    const there = record === undefined ? 'nothing' : short(textOf(record.value));
    lost.push(`${topic}/${partition}@${offset}: ${short(value)} was acknowledged, ${there} is there`);
  }
  return lost;
}

function fits(expected: string | null | undefined, found: Buffer | null): boolean {
  if (expected === undefined) return true;
  return expected === null ? found === null : found !== null && textOf(found) === expected;
}

function storedTwice(placed: readonly Placed[]): string[] {
  const seen = new Set<string>();
  return placed
    .filter(({ name }) => {
      const again = seen.has(name);
      seen.add(name);
      return again;
    })
    .map(placeText);
}

function sequencesTwice(placed: readonly Placed[]): string[] {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const place of placed) {
    const { producer, sequence } = place.record;
    if (producer === null || sequence === null) continue;
    const name = `${place.topic}/${place.partition} ${producer} ${sequence}`;
    if (seen.has(name)) twice.push(`${placeText(place)}: sequence ${sequence} of ${producer} once more`);
    seen.add(name);
  }
  return twice;
}

function resurrectedOf(
  { acked, refused, unknown }: History,
  sendings: ReadonlyMap<string, Sendings>,
  placed: readonly Placed[],
): string[] {
  if (refused.length === 0) return [];
  const maybe = new Set([...acked, ...unknown].map(nameOf));
  const refusals = new Map<string, number>();
  for (const name of refused.map(nameOf)) refusals.set(name, (refusals.get(name) ?? 0) + 1);
  const allRefused = ({ name }: Placed): boolean => {
    const count = refusals.get(name);
    return count !== undefined && !maybe.has(name) && count >= (sendings.get(name)?.places.length ?? 0);
  };
  return placed.filter(allRefused).map(placeText);
}

/**
 * A record that was sent again may stand at the place of any of its sendings; what is stored of a sender on a partition
 * must fit one choice. The earliest that fits is the best one.
 */
function reorderedOf(sendings: ReadonlyMap<string, Sendings>, placed: readonly Placed[]): string[] {
  /** The place of the last one, by partition and sender. */
  const last = new Map<string, number>();
  const seen = new Set<string>();
  const reordered: string[] = [];
  for (const place of placed) {
    const { topic, partition, name } = place;
    const { sender, places } = sendings.get(name) ?? { sender: undefined, places: [] };
    // A second copy is a duplicate, and told as one.
    if (sender === undefined || seen.has(name)) continue;
    seen.add(name);
    const lane = `${topic}/${partition} ${sender}`;
    const fits = places.find((at) => at > (last.get(lane) ?? -1));
    if (fits === undefined) reordered.push(placeText(place));
    else last.set(lane, fits);
  }
  return reordered;
}

function gapsOf(stored: StoredDirectory): string[] {
  const gaps: string[] = [];
  for (const [topic, { partitions }] of stored.topics) {
    for (const [partition, { records }] of partitions) {
      records.forEach(({ offset }, index) => {
        if (offset !== index) gaps.push(`${topic}/${partition}: offset ${offset} where ${index} was due`);
      });
    }
  }
  return gaps;
}

function nameOf({ topic, value }: { readonly topic: string; readonly value: string }): string {
  return `${topic} ${value}`;
}

function placeText({ topic, partition, record, value }: Placed): string {
  return `${topic}/${partition}@${record.offset}: ${short(value)}`;
}

function textOf(bytes: Buffer | null): string {
  return bytes === null ? '' : bytes.toString('utf8');
}

function short(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}
