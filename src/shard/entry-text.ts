/** What a log entry says, as a line for people: `sluice inspect-log`. */
import { BrokerError } from '../errors.ts';
import { EntryKind, type LogEntry } from '../storage/log.ts';
import { readBatchEntry } from './batch-entry.ts';
import { readControl } from './control-entry.ts';

const names = new Map<number, string>(Object.entries(EntryKind).map(([name, kind]) => [kind, name]));

export function kindName(kind: number): string {
  return names.get(kind) ?? `kind ${kind}`;
}

export function entryText(entry: LogEntry): string {
  try {
    return bodyText(entry);
  } catch (error) {
    if (error instanceof BrokerError) return `unreadable: ${error.message}`;
    throw error;
  }
}

function bodyText({ kind, body }: LogEntry): string {
  if (kind !== EntryKind.batch) return JSON.stringify(readControl(kind, body));
  const { handle, baseOffset, count, epoch, time, producer } = readBatchEntry(body);
  const by = producer === null ? '' : ` by ${producer.id} from sequence ${producer.sequence}`;
  const range = count === 1 ? `offset ${baseOffset}` : `offsets ${baseOffset}–${baseOffset + count - 1}`;
  return `partition #${handle} epoch ${epoch}, ${range}, ${new Date(time).toISOString()}${by}`;
}
