/** Bugs on the way out: the barrier, the flush, deadlines, and what is said of them. */
import type { Bug } from './bug.ts';

export const shutdownBugs: readonly Bug[] = [
  {
    name: 'failed-flush-is-clean',
    text: 'The last group of a shutdown fails, and the shard goes on as if it had been written.',
    shownBy: ['I2', 'I3', 'S1', 'I11', 'L2'],
    edits: [
      { file: 'src/actors/shard-runtime.ts', find: 'this.onFault(error);', replace: '' },
      { file: 'src/machines/shard.ts', find: "onError: failWith('mark clean'),", replace: "onError: 'releasing'," },
    ],
  },
  {
    name: 'no-fence',
    text: 'A shard that was given up keeps its queue: a write that comes back late is followed by the next.',
    shownBy: ['S11', 'E1', 'S10'],
    edits: [
      {
        file: 'src/actors/shard-runtime.ts',
        find: 'this.#engine?.fence(error);\n    // Nobody waits for what hangs; once it comes back, its descriptors go.\n    this.release()',
        replace: 'Promise.resolve()',
      },
    ],
  },
  {
    name: 'gate-left-open',
    text: 'The drain tells the clients and leaves the gate open behind them.',
    shownBy: ['S10', 'I4'],
    edits: [
      {
        file: 'src/actors/shard-runtime.ts',
        find: "this.#engine?.publishGate.shut('DRAINING', 'the broker is shutting down', retryAfterMs);",
        replace: '',
      },
    ],
  },
  {
    name: 'gate-opened-by-space',
    text: 'Disk space comes back during a drain and opens the gate.',
    shownBy: ['S10', 'I4'],
    edits: [{ file: 'src/actors/shard-runtime.ts', find: 'if (!this.#accepting) return;', replace: '' }],
  },
  {
    name: 'released-when-drained',
    text: 'A shard that has answered everything says that it is released: its last group, checkpoint and mark never come.',
    shownBy: ['I3', 'I7', 'L2', 'S11', 'I2'],
    edits: [
      {
        file: 'src/machines/shard.ts',
        find: "({ type: 'child.drained', id: context.id })",
        replace: "({ type: 'child.released', id: context.id, counts: context.counts() })",
      },
    ],
  },
  {
    name: 'end-told-twice',
    text: 'What a child says behind its end counts, so that one which was given up and comes back is released too.',
    shownBy: ['S11', 'I11'],
    edits: [
      {
        file: 'src/machines/children.ts',
        find: 'if (before === undefined || ended.includes(before.state)) return context.children;',
        replace: 'if (before === undefined) return context.children;',
      },
      {
        file: 'src/machines/shard.ts',
        find: "entry: { type: 'fence', params: ({ context }) => ({ reason: context.fault }) },",
        replace:
          "entry: [{ type: 'fence', params: ({ context }) => ({ reason: context.fault }) }, " +
          "{ type: 'report', params: ({ context }) => ({ type: 'child.released', id: context.id, counts: context.counts() }) }],",
      },
    ],
  },
  {
    name: 'abandoned-counted-as-released',
    text: 'A shard whose time ran out is filed with those that finished.',
    shownBy: ['I3', 'I11', 'S11', 'I7', 'I2'],
    edits: [
      {
        file: 'src/machines/children.ts',
        find: "const state = report.type.slice('child.'.length) as ChildState;",
        replace:
          "const state = report.type === 'child.abandoned' ? 'released' : (report.type.slice('child.'.length) as ChildState);",
      },
    ],
  },
  {
    name: 'missing-deadline',
    text: 'The flush waits for its writes, however long they take: a disk that hangs keeps the process until somebody kills it.',
    shownBy: ['L1'],
    edits: [
      {
        file: 'src/machines/shard.ts',
        find: 'return Math.min(Math.max(deadline - CHILD_MARGIN_MS - now(), 0), TIMER_MAX_MS);',
        replace: 'return deadline + now() < 0 ? CHILD_MARGIN_MS : TIMER_MAX_MS;',
      },
      {
        file: 'src/machines/supervisor.ts',
        find: 'toFlush: ({ context }) => until(context, context.plan?.flushUntil),',
        replace: 'toFlush: ({ context }) => until(context, undefined),',
      },
      {
        file: 'src/machines/supervisor.ts',
        find: 'toReport: ({ context }) => until(context, context.plan?.reportUntil),',
        replace: 'toReport: ({ context }) => until(context, undefined),',
      },
      { file: 'src/broker.ts', find: 'const WATCHDOG_MARGIN_MS = 500;', replace: 'const WATCHDOG_MARGIN_MS = 1e9;' },
    ],
  },
  {
    name: 'cancel-after-stop',
    text: 'A cancelled drain calls a shutdown off that came meanwhile: the broker runs on, past its end.',
    shownBy: ['L1', 'L2'],
    edits: [
      {
        file: 'src/machines/supervisor.ts',
        find: "'drain.cancel': {\n          guard: 'drainOnly',",
        replace: "'drain.cancel': {",
      },
    ],
  },
  {
    name: 'drain-cancelled-by-half',
    text: 'A drain that is called off is told to the clients and not to the shards.',
    shownBy: ['L2'],
    edits: [
      {
        file: 'src/machines/supervisor.ts',
        find: "{ type: 'toShards', params: { what: 'resume' } },\n            { type: 'toGateway'",
        replace: "{ type: 'toGateway'",
      },
    ],
  },
  {
    name: 'clean-mark-outlives-its-start',
    text: 'A clean mark counts until the next one, whatever was written behind it: a crash is taken for a clean end.',
    shownBy: ['S2', 'S4', 'S5', 'L2', 'I3'],
    edits: [
      {
        file: 'src/shard/shard-state.ts',
        find: 'this.applied = sequence;\n    this.clean = false;',
        replace: 'this.applied = sequence;',
      },
    ],
  },
  {
    name: 'mark-before-last-group',
    text: 'The clean mark is written, the shard let go of, and what waits of async topics is not waited for.',
    shownBy: ['I2', 'I3', 'S1', 'S11', 'E1'],
    edits: [
      {
        file: 'src/shard/shard-engine.ts',
        find: 'return this.#changes.markClean();',
        replace: 'return Promise.resolve();',
      },
      {
        file: 'src/actors/shard-runtime.ts',
        find: "engine.commitGate.shut('DRAINING', 'the broker is shutting down');\n    await engine.settle();",
        replace: "engine.commitGate.shut('DRAINING', 'the broker is shutting down');\n    await engine.markClean();",
      },
    ],
  },
  {
    name: 'closed-before-answered',
    text: 'The drain waits for nobody: clients are closed whatever they are still owed.',
    shownBy: ['I4'],
    edits: [
      {
        file: 'src/actors/session.ts',
        find: 'if (this.unanswered > 0 || !this.#inbox.empty || !this.#reading) return false;',
        replace: 'return true;',
      },
      {
        file: 'src/machines/supervisor.ts',
        find: "(context.mode !== 'graceful' || othersAre(context, ['drained'])),",
        replace: "(context.mode !== 'graceful' || othersAre(context, ['drained', 'ready'])),",
      },
      {
        file: 'src/machines/supervisor.ts',
        find: "shardsOf(context).every(({ state }) => state === 'drained' || ended.includes(state)) &&",
        replace: '',
      },
    ],
  },
  {
    name: 'refused-and-stored',
    text: 'A publish that the gate refuses is answered so, and queued all the same.',
    shownBy: ['I4', 'S10', 'S6'],
    edits: [
      {
        file: 'src/shard/shard-engine.ts',
        find: 'outcome.refused(refusal);\n      return;',
        replace:
          'outcome.refused(refusal);\n      request = { ...request, outcome: { published() {}, refused() {} } };',
      },
    ],
  },
  {
    name: 'drained-writes-not-acked',
    text: 'A client that was told of the drain is told nothing more: what the queue still writes is stored and answered to nobody. Apache Iggy ended with such writes.',
    shownBy: ['I4', 'L2'],
    edits: [
      {
        file: 'src/actors/session.ts',
        find: "if (notice.stage === 'drain') this.commands.noteDelivered();",
        replace: "if (notice.stage === 'drain') this.outbox.acknowledge = () => {};",
      },
    ],
  },
];
