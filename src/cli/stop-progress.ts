/**
 * The progress of a shutdown for `sluice stop --wait`. On a terminal: a header with the phase and what is left, and a bar
 * for each shard, redrawn in place and taken away at the end, so that the report stands alone. Elsewhere: a line for
 * each phase, and for each shard when it comes into another state or stalls.
 */
import { hasEnded, isAtWork, type ShardView, type ShutdownView } from './shutdown-view.ts';
import { countText, roughBytes, roughMs } from './table.ts';
import type { Terminal } from './terminal.ts';

const STALLED_MS = 2000;
const BAR_CELLS = 24;
/** Where a terminal does not say how large it is. */
const COLUMNS = 80;
const ROWS = 24;

interface Standing {
  /** What changes when the shard does something. */
  readonly seen: string;
  readonly since: number;
}

export class StopProgress {
  readonly #terminal: Terminal;
  readonly #startedAt: number;
  readonly #standing = new Map<string, Standing>();
  readonly #told = new Map<string, string>();
  #phase = '';
  /** Lines of the frame that stands on the terminal. */
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#startedAt = terminal.now();
  }

  async show(view: ShutdownView): Promise<void> {
    const stalled = this.#stalledOf(view.shards);
    const { progressStream } = this.#terminal;
    if (progressStream === null) {
      this.#tell(view, stalled);
      await this.#terminal.stderr.flush();
    } else if (view.phase !== null) {
      const { columns = COLUMNS, rows = ROWS } = progressStream;
      this.#draw(progressStream, frameLines(view, stalled, columns, rows));
    }
  }

  /** Takes the frame away. */
  end(): void {
    if (this.#terminal.progressStream !== null) this.#draw(this.#terminal.progressStream, []);
  }

  /** Ids of the shards that are at work and have not moved for a while. */
  #stalledOf(shards: readonly ShardView[]): ReadonlySet<string> {
    const now = this.#terminal.now();
    const stalled = new Set<string>();
    for (const shard of shards) {
      const { id, state, operation, pendingBytes, flushedBytes } = shard;
      const seen = JSON.stringify([state, operation, pendingBytes, flushedBytes]);
      const before = this.#standing.get(id);
      if (before?.seen !== seen) this.#standing.set(id, { seen, since: now });
      else if (isAtWork(shard) && now - before.since >= STALLED_MS) stalled.add(id);
    }
    return stalled;
  }

  /** In one write, so that no half frame is seen. */
  #draw(stream: NodeJS.WriteStream, lines: readonly string[]): void {
    const up = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r\u001b[J`;
    this.#drawn = lines.length;
    if (up !== '' || lines.length > 0) stream.write(`${up}${lines.map((line) => `${line}\n`).join('')}`);
  }

  #tell({ phase, phaseBudgetMs, shards }: ShutdownView, stalled: ReadonlySet<string>): void {
    if (phase !== null && phase !== this.#phase) {
      this.#phase = phase;
      this.#line(phase, phaseBudgetMs === null ? '' : `of at most ${roughMs(phaseBudgetMs)}`);
    }
    for (const shard of shards) {
      const said = stalled.has(shard.id) ? 'stalled' : shard.state;
      const before = this.#told.get(shard.id);
      this.#told.set(shard.id, said);
      // As it was before anything happened is no news.
      if (said !== (before ?? 'ready'))
        this.#line(shard.id, said, stalled.has(shard.id) ? atText(shard) : shard.detail);
    }
  }

  #line(...parts: readonly (string | null)[]): void {
    const after = roughMs(this.#terminal.now() - this.#startedAt).padStart(8);
    this.#terminal.stderr.write(`${after}  ${parts.filter((part) => part !== null && part !== '').join('  ')}\n`);
  }
}

/** The lines of one frame, none longer than the terminal is wide, and no more than it is high. */
export function frameLines(
  view: ShutdownView,
  stalled: ReadonlySet<string>,
  columns: number,
  rows: number,
): readonly string[] {
  // The cursor stands on a line of its own below the frame.
  const room = Math.max(rows - 3, 1);
  const shown = shardsToShow(view.shards, room);
  const hidden = view.shards.length - shown.length;
  const width = Math.max(...shown.map(({ id }) => id.length), 0);
  const lines = [
    headerLine(view),
    ...shown.map((shard) => shardLine(shard, stalled.has(shard.id), width)),
    ...(hidden > 0 ? [`and ${countText(hidden)} more`] : []),
  ];
  return lines.map((line) => cut(line, columns - 1));
}

/** Where not all have room, those that have most to do. */
function shardsToShow(shards: readonly ShardView[], room: number): readonly ShardView[] {
  if (shards.length <= room) return shards;
  const order = [...shards].sort(
    (a, b) => Number(hasEnded(a)) - Number(hasEnded(b)) || b.pendingBytes - a.pendingBytes || (a.id < b.id ? -1 : 1),
  );
  const chosen = new Set(order.slice(0, room));
  return shards.filter((shard) => chosen.has(shard));
}

function headerLine({
  phase,
  phaseMs,
  phaseBudgetMs,
  deadlineMs,
  etaMs,
  pendingBytes,
  sessions,
}: ShutdownView): string {
  const spent = phaseMs === null ? '' : ` ${roughMs(phaseMs)}`;
  const budget = phaseBudgetMs === null ? '' : ` of ${roughMs(phaseBudgetMs)}`;
  const parts = [`${phase ?? 'unknown'}${spent}${budget}`];
  if (pendingBytes !== null && pendingBytes > 0) {
    parts.push(`${roughBytes(pendingBytes)} to flush${etaMs === null ? '' : `, about ${roughMs(etaMs)}`}`);
  }
  if (sessions !== null && sessions > 0) parts.push(`${countText(sessions)} ${sessions === 1 ? 'client' : 'clients'}`);
  if (deadlineMs !== null) parts.push(`${roughMs(deadlineMs)} left`);
  return parts.join(' | ');
}

function shardLine(shard: ShardView, stalled: boolean, width: number): string {
  const { id, state, pendingBytes, flushedBytes, detail } = shard;
  const name = id.padEnd(width);
  if (state === 'failed' || state === 'abandoned') return `${name}  ${state}${detail === null ? '' : `: ${detail}`}`;
  const whole = flushedBytes + pendingBytes;
  const share = whole > 0 ? flushedBytes / whole : Number(state === 'released');
  const cells = Math.floor(share * BAR_CELLS);
  const bar = `${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)}`;
  const bytes = whole > 0 ? `  ${roughBytes(flushedBytes)} of ${roughBytes(whole)}` : '';
  const at = hasEnded(shard) ? state : atText(shard);
  return `${name}  ${bar} ${`${Math.floor(share * 100)}%`.padStart(4)}${bytes}  ${stalled ? 'stalled: ' : ''}${at}`;
}

function atText({ state, operation, operationMs }: ShardView): string {
  if (operation === null) return state;
  return operationMs === null ? operation : `${operation}, ${roughMs(operationMs)}`;
}

function cut(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(columns - 1, 0))}…`;
}
