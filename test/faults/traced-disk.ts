/**
 * The disk below a traced broker: the trace is played into it call by call, and at any point it gives the states that a
 * power cut may leave. What was not synced may be lost, kept, or kept by the sector of 512 bytes, in any order between
 * files; names that their directory's sync has not covered are there or not, one by one; a rename is there whole or not
 * at all. Harsher than ext4 and xfs, and nothing that `docs/storage.md` assumes is broken.
 */
import { dirname } from 'node:path';
import type { TraceEvent } from './disk-trace.ts';

/** What a power cut left: the files by path, and the folders. */
export interface CrashState {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly folders: readonly string[];
}

/**
 * What is kept of what was not synced. `none`, `all`; `prefix`: what came before some call, and that one torn; `torn`: each
 * sector and each name by itself.
 */
export type CrashMode = 'none' | 'all' | 'prefix' | 'torn';

interface Write {
  readonly order: number;
  readonly position: number;
  bytes: Buffer;
  came: boolean;
  durable: boolean;
}

interface Cut {
  readonly order: number;
  readonly size: number;
  readonly came: true;
  durable: boolean;
}

const SECTOR_BYTES = 512;

class TracedFile {
  /** Durable, with everything in it that is not behind something that isn't. */
  #base: Buffer = Buffer.alloc(0);
  changes: (Write | Cut)[] = [];

  settle(): void {
    while (this.changes[0]?.durable === true) {
      const change = this.changes.shift() as Write | Cut;
      const content = new Content(this.#base);
      content.apply(change);
      this.#base = content.bytes;
    }
  }

  crash(keep: (order: number) => boolean | 'torn', random: () => number): Buffer {
    const content = new Content(Buffer.from(this.#base));
    for (const change of this.changes) {
      const kept = change.durable || keep(change.order);
      if (kept === true) content.apply(change);
      else if (kept === 'torn') content.applyTorn(change, random);
    }
    return content.bytes;
  }
}

class Content {
  bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  apply(change: Write | Cut): void {
    if ('size' in change) this.#resize(change.size);
    else this.#put(change.position, change.bytes);
  }

  applyTorn(change: Write | Cut, random: () => number): void {
    if ('size' in change) {
      if (random() < 0.5) this.#resize(change.size);
      return;
    }
    const { position, bytes } = change;
    const most = random();
    // The size may be there before the bytes, which are zeros then.
    if (random() < 0.25) this.#resize(Math.max(this.bytes.length, position + bytes.length));
    for (let at = 0; at < bytes.length; ) {
      const next = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      if (random() < most) this.#put(position + at, bytes.subarray(at, next));
      at = next;
    }
  }

  #put(position: number, bytes: Buffer): void {
    if (position + bytes.length > this.bytes.length) this.#resize(position + bytes.length);
    bytes.copy(this.bytes, position);
  }

  #resize(size: number): void {
    if (size <= this.bytes.length) this.bytes = this.bytes.subarray(0, size);
    else this.bytes = Buffer.concat([this.bytes], size);
  }
}

type Named = TracedFile | 'folder';

interface NameChange {
  readonly order: number;
  readonly steps: readonly { readonly path: string; readonly from: Named | null; readonly to: Named | null }[];
}

/** What a disk claims and does not do: with it the proof must find losses. */
export type DiskLie = 'forgets synced writes' | 'forgets synced names';

export class TracedDisk {
  readonly #lie: DiskLie | null;
  readonly #names = new Map<string, Named>([['.', 'folder']]);
  /** Not covered by a sync of their folder, oldest first. */
  #changes: NameChange[] = [];
  readonly #open = new Map<string, { readonly path: string; readonly named: Named }>();
  readonly #writes = new Map<string, Write>();
  /** What a sync under way covers once it has come back. */
  readonly #syncs = new Map<string, () => void>();
  #order = 0;

  constructor(lie: DiskLie | null = null) {
    this.#lie = lie;
  }

  apply(event: TraceEvent): void {
    this.#order += 1;
    switch (event.is) {
      case 'open':
        this.#opened(event.file, event.path, event.create, event.cut);
        return;
      case 'write': {
        const write = { order: this.#order, position: event.position, bytes: event.bytes, came: false, durable: false };
        this.#file(event.file)?.changes.push(write);
        this.#writes.set(event.call, write);
        return;
      }
      case 'written':
        this.#written(event.call, event.taken, event.durable);
        return;
      case 'size':
        this.#file(event.file)?.changes.push({ order: this.#order, size: event.bytes, came: true, durable: false });
        return;
      case 'sync':
        this.#sync(event.call, event.file);
        return;
      case 'synced':
        if (event.worked && this.#lie !== 'forgets synced names') this.#syncs.get(event.call)?.();
        this.#syncs.delete(event.call);
        return;
      case 'made':
        this.#name([[event.path, 'folder']]);
        return;
      case 'removed':
        this.#name([[event.path, null]]);
        return;
      case 'renamed': {
        const named = this.#names.get(event.path);
        // Of a file that was not traced: LevelDB's own log of what it does.
        if (named === undefined) return;
        this.#name([
          [event.path, null],
          [event.to, named],
        ]);
        return;
      }
    }
  }

  /** Changes below `folder` that a power cut may lose or keep. */
  pending(folder: (path: string) => boolean): number {
    let count = this.#changes.filter(({ steps }) => steps.some(({ path }) => folder(path))).length;
    for (const [path, named] of this.#names) if (named !== 'folder' && folder(path)) count += named.changes.length;
    return count;
  }

  /** `random`: numbers in [0, 1). */
  crash(mode: CrashMode, random: () => number): CrashState {
    const until = random() * this.#order;
    const ordered = mode === 'prefix' ? this.#cutOf(until) : 0;
    const namesKept = [0, 0.5, 1][Math.floor(random() * 3)] as number;
    const keep = (order: number): boolean | 'torn' => {
      if (mode === 'torn') return 'torn';
      if (mode === 'prefix') return order === ordered ? 'torn' : order < ordered;
      return mode === 'all';
    };
    const names = new Map(this.#names);
    const undone = [...this.#changes].reverse().flatMap(({ steps }) => [...steps].reverse());
    for (const { path, from } of undone) setName(names, path, from);
    for (const { order, steps } of this.#changes) {
      const kept = keep(order);
      if (kept === false || (kept === 'torn' && random() >= namesKept)) continue;
      for (const { path, to } of steps) setName(names, path, to);
    }
    const files = new Map<string, Buffer>();
    const folders = ['.'];
    // In the order of paths, so that a folder comes before what it holds: what lies in a lost folder is lost.
    for (const [path, named] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (path === '.' || !folders.includes(dirname(path))) continue;
      if (named === 'folder') folders.push(path);
      else files.set(path, named.crash(keep, random));
    }
    return { files, folders };
  }

  /** The order of one of the changes that are not durable, as `share` of [0, #order) falls. */
  #cutOf(share: number): number {
    const orders = this.#changes.map(({ order }) => order);
    for (const named of this.#names.values()) {
      if (named !== 'folder') for (const { order, durable } of named.changes) if (!durable) orders.push(order);
    }
    orders.sort((a, b) => a - b);
    return orders[Math.floor((share / this.#order) * orders.length)] ?? 0;
  }

  #file(open: string): TracedFile | null {
    const named = this.#open.get(open)?.named;
    return named === undefined || named === 'folder' ? null : named;
  }

  #opened(open: string, path: string, create: boolean, cut: boolean): void {
    let named = this.#names.get(path);
    if (named === undefined) {
      if (!create) return;
      named = new TracedFile();
      this.#name([[path, named]]);
    } else if (cut && named !== 'folder') {
      named.changes.push({ order: this.#order, size: 0, came: true, durable: false });
    }
    this.#open.set(open, { path, named });
  }

  #written(call: string, taken: number, durable: boolean): void {
    const write = this.#writes.get(call);
    if (write === undefined) return;
    this.#writes.delete(call);
    // One that failed may have left any part of itself, and no sync is to be believed about it.
    if (taken < 0) return;
    write.bytes = write.bytes.subarray(0, taken);
    write.came = true;
    if (!durable || this.#lie === 'forgets synced writes') return;
    write.durable = true;
    this.#settle();
  }

  #sync(call: string, open: string): void {
    const opened = this.#open.get(open);
    if (opened === undefined) return;
    const { path, named } = opened;
    if (named === 'folder') {
      const covered = new Set(this.#changes.filter(({ steps }) => steps.some((step) => dirname(step.path) === path)));
      this.#syncs.set(call, () => {
        this.#changes = this.#changes.filter((change) => !covered.has(change));
      });
      return;
    }
    const covered = named.changes.filter(({ came }) => came);
    this.#syncs.set(call, () => {
      for (const change of covered) change.durable = true;
      named.settle();
    });
  }

  #settle(): void {
    for (const named of this.#names.values()) if (named !== 'folder') named.settle();
  }

  #name(steps: readonly (readonly [path: string, to: Named | null])[]): void {
    this.#changes.push({
      order: this.#order,
      steps: steps.map(([path, to]) => ({ path, from: this.#names.get(path) ?? null, to })),
    });
    for (const [path, to] of steps) setName(this.#names, path, to);
  }
}

function setName(names: Map<string, Named>, path: string, named: Named | null): void {
  if (named === null) names.delete(path);
  else names.set(path, named);
}
