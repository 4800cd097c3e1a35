/** The loop of `sluice subscribe`: from the subscription to the output, and committed behind it. */
import type { SluiceRecord, Subscription } from '../client/index.ts';
import { messageOf } from '../errors.ts';
import type { EndWatch } from './end-watch.ts';
import { type PrintedRecord, type RecordForm, recordText } from './record-text.ts';
import type { Terminal } from './terminal.ts';

export interface PrinterOptions {
  readonly format: RecordForm;
  /** Commit what has left for the output. */
  readonly commit: boolean;
}

/**
 * Takes batch after batch to the output. Told to stop it finishes the batch it is at, commits what left for the output,
 * and only then ends the subscription, since nothing can be committed on one that has ended.
 */
export class RecordPrinter {
  readonly #subscription: Subscription;
  readonly #form: RecordForm;
  readonly #terminal: Terminal;
  readonly #end: AbortController;
  readonly #committer: Committer | null;
  #stopping = false;
  #printing = false;
  #finishing: Promise<void> | null = null;

  constructor(subscription: Subscription, options: PrinterOptions, terminal: Terminal, end: AbortController) {
    this.#subscription = subscription;
    this.#form = options.format;
    this.#terminal = terminal;
    this.#end = end;
    this.#committer = options.commit ? new Committer(subscription, terminal) : null;
  }

  stop(): void {
    this.#stopping = true;
    if (this.#printing) return;
    const ended = (): void => this.#end.abort();
    this.#finish().then(ended, ended);
  }

  /** Resolves when `watch` is done or it was told to stop; rejects when the subscription or the last commit failed. */
  async run(watch: EndWatch): Promise<void> {
    if (watch.done) return;
    for await (const records of this.#subscription.batches()) {
      if (!this.#stopping) await this.#print(records, watch);
      if (watch.done || this.#stopping) break;
    }
    await this.#finish();
  }

  async #print(records: readonly SluiceRecord[], watch: EndWatch): Promise<void> {
    this.#printing = true;
    const { stdout } = this.#terminal;
    for (const record of records) {
      if (!watch.take(record.partition, record.offset)) continue;
      for (const chunk of recordText(printedForm(record), this.#form)) stdout.write(chunk);
      this.#committer?.printed(record);
    }
    await (this.#committer === null ? stdout.flush() : stdout.finish());
    this.#printing = false;
    // What a reader that is gone did not take is not to be committed.
    if (!stdout.gone.aborted) this.#committer?.flushed();
    if (watch.done || this.#stopping) await this.#finish();
  }

  #finish(): Promise<void> {
    this.#finishing ??= this.#committer?.finish() ?? Promise.resolve();
    return this.#finishing;
  }
}

function printedForm(record: SluiceRecord): PrintedRecord {
  const { topic, partition, offset, epoch, time, keyBytes, headers, encoding, tombstone } = record;
  return {
    topic,
    partition,
    offset,
    epoch,
    time,
    encoding,
    key: keyBytes,
    headers: Object.keys(headers).length === 0 ? null : headers,
    value: tombstone ? null : record.bytes(),
  };
}

/**
 * Commits behind the output: one commit per partition under way at a time, the next one for all that was printed
 * meanwhile. A commit that fails is told and tried again with the next records, or at the end.
 */
class Committer {
  readonly #subscription: Subscription;
  readonly #terminal: Terminal;
  readonly #printed = new Map<number, number>();
  /** Next offset to read by partition, printed and not committed. */
  readonly #due = new Map<number, number>();
  #running: Promise<void> | null = null;

  constructor(subscription: Subscription, terminal: Terminal) {
    this.#subscription = subscription;
    this.#terminal = terminal;
  }

  printed(record: { readonly partition: number; readonly offset: number }): void {
    this.#printed.set(record.partition, record.offset + 1);
  }

  /** All that was printed has left for the output. */
  flushed(): void {
    for (const [partition, offset] of this.#printed) this.#due.set(partition, offset);
    this.#printed.clear();
    this.#running ??= this.#commit()
      .catch((error: unknown) => {
        this.#terminal.stderr.write(`commit failed, to be tried again: ${messageOf(error)}\n`);
      })
      .finally(() => {
        this.#running = null;
      });
  }

  /** Rejects when the last commits fail. */
  async finish(): Promise<void> {
    await this.#running;
    await this.#commit();
  }

  async #commit(): Promise<void> {
    for (const [partition, offset] of this.#due) {
      await this.#subscription.commit({ partition, offset });
      if (this.#due.get(partition) === offset) this.#due.delete(partition);
    }
  }
}
