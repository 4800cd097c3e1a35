/**
 * What befalls the calls of a simulated disk: latency, errors, hangs, slow times. Set as the hook of a `MemoryDisk`,
 * and of the meta stores beside it. Every call under way is known here, so that a kill can decide what becomes of it.
 */
import { DiskFault, type DiskOp, type MemoryDisk } from '../../src/testing/memory-disk.ts';
import type { SimulatedClock } from '../../src/testing/simulated-clock.ts';
import type { Dice } from './dice.ts';
import type { DiskFaultStep, DiskHangStep, Plan, Range } from './plan.ts';

interface Waiting {
  readonly op: DiskOp | 'meta';
  readonly go: () => void;
  readonly fail: (error: Error) => void;
  /** It hangs as planned, for its time or for good. */
  readonly hung: boolean;
}

const WHOLE_WRITE_BYTES = 1 << 30;

/** Of a slow disk. */
const READ_MS_MAX = 20;

export class DiskWeather {
  readonly #clock: SimulatedClock;
  readonly #dice: Dice;
  readonly #plan: Plan['disk'];
  #faults: (DiskFaultStep & { left: number; readonly until: number })[] = [];
  #hangs: (DiskHangStep & { left: number })[] = [];
  #slow: { readonly ms: number; readonly until: number } | null = null;
  #metaFaults = 0;
  readonly #waiting = new Set<Waiting>();
  /** Calls that failed or hung as planned. */
  faulted = 0;

  constructor(clock: SimulatedClock, dice: Dice, plan: Plan['disk']) {
    this.#clock = clock;
    this.#dice = dice;
    this.#plan = plan;
  }

  /** Calls that hang as planned: a process may wait for them longer than it may take to end. */
  get hungCalls(): number {
    let hung = 0;
    for (const call of this.#waiting) if (call.hung) hung += 1;
    return hung;
  }

  attach(disk: MemoryDisk): void {
    disk.onCall = (op, path) => this.#onCall(op, path, disk);
  }

  fail(step: DiskFaultStep): void {
    this.#faults.push({ ...step, left: step.times, until: this.#clock.monotonic() + step.forMs });
  }

  hang(step: DiskHangStep): void {
    this.#hangs.push({ ...step, left: step.times });
  }

  slow(ms: number, forMs: number): void {
    this.#slow = { ms, until: this.#clock.monotonic() + forMs };
  }

  /** Nothing goes wrong any more; what hangs goes on hanging. */
  clear(): void {
    this.#faults = [];
    this.#hangs = [];
    this.#slow = null;
    this.#metaFaults = 0;
  }

  /** The process is gone: each write under way lands whole, in part or not at all; other calls are over. */
  killed(): void {
    for (const call of this.#waiting) {
      const landing = call.op === 'write' ? this.#dice.int(0, 2) : 0;
      if (landing === 1) call.go();
      else call.fail(new DiskFault('EINTR', { landedBytes: landing === 0 ? 0 : this.#dice.int(0, 8) * 512 }));
    }
    this.#waiting.clear();
  }

  /** The same, without power: nothing more lands. */
  powerCut(): void {
    this.#waiting.clear();
  }

  /** The next calls of any meta store fail. */
  failMeta(times: number): void {
    this.#metaFaults = times;
  }

  /** For calls of a meta store. */
  async meta(): Promise<void> {
    const ms = this.#latency(this.#plan.callMs);
    if (ms > 0) await this.#wait('meta', ms);
    if (this.#metaFaults === 0) return;
    this.#metaFaults -= 1;
    this.faulted += 1;
    throw new DiskFault('EIO');
  }

  #onCall(op: DiskOp, path: string, disk: MemoryDisk): unknown {
    const hang = this.#hangs.find((each) => each.left > 0 && each.op === op && path.includes(each.where));
    if (hang !== undefined) {
      hang.left -= 1;
      this.faulted += 1;
      return this.#wait(op, hang.forMs, true);
    }
    const fault = this.#faultOf(op, path);
    const ms = this.#latency(op === 'write' ? this.#plan.writeMs : this.#plan.callMs, op);
    if (fault === null) return ms === 0 ? undefined : this.#wait(op, ms);
    fault.left -= 1;
    this.faulted += 1;
    if (fault.late) this.#clock.setTimeout(() => disk.landLate(), fault.forMs);
    return this.#wait(op, ms).then(() => {
      throw errorOf(fault);
    });
  }

  #faultOf(op: DiskOp, path: string): (DiskFaultStep & { left: number }) | null {
    const now = this.#clock.monotonic();
    this.#faults = this.#faults.filter((fault) => fault.left > 0 && fault.until >= now);
    return this.#faults.find((fault) => fault.op === op && path.includes(fault.where)) ?? null;
  }

  #latency([low, high]: Range, op?: DiskOp): number {
    if (op === 'size' || op === 'space') return 0;
    const slow = this.#slow !== null && this.#slow.until >= this.#clock.monotonic() ? this.#slow.ms : 0;
    // What is read comes out of the page cache, unless the disk is slow; a recovery makes many reads.
    if (op === 'read') return slow === 0 ? 0 : Math.min(slow, READ_MS_MAX) * this.#dice.next();
    return low + this.#dice.next() * (high - low) + slow * this.#dice.next();
  }

  #wait(op: Waiting['op'], ms: number | null, hung = false): Promise<void> {
    return new Promise((resolve, reject) => {
      const call: Waiting = { op, go: resolve, fail: reject, hung };
      this.#waiting.add(call);
      // Behind a kill the call is no longer known, and its time passes without it.
      if (ms !== null) this.#clock.setTimeout(() => this.#waiting.delete(call) && resolve(), ms);
    });
  }
}

function errorOf({ code, landedBytes, unsyncable, late }: DiskFaultStep): DiskFault {
  if (late) return new DiskFault(code, { late });
  return new DiskFault(code, { landedBytes: unsyncable ? WHOLE_WRITE_BYTES : landedBytes, unsyncable });
}
