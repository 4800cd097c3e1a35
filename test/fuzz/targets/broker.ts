/**
 * A whole broker in memory, given what no client would send. Whatever comes, it answers with codes of its tables or
 * closes with one, takes nothing for a defect of its own, serves the others, and stores what reads.
 */
import { setImmediate } from 'node:timers/promises';
import { errorTable } from '../../../src/errors.ts';
import { closeCodeTable } from '../../../src/protocol/close-code.ts';
import { Rig, turns } from '../../broker/rig.ts';
import type { WireClient } from '../../broker/wire-client.ts';
import { joined } from '../mutation.ts';
import { type AsyncTarget, holds } from '../target.ts';
import { framed, framesMutator, framesOf } from './client.ts';
import { binaryCommand, textCommand } from './frames.ts';

/** No input is long enough in luck to name it. */
const WITNESS = 'kept-8f1c2a';
/** Inputs between two looks at what is stored, and brokers of one run: a restart reads everything again. */
const LOOK_INPUTS = 200;
const RESTART_INPUTS = 2000;

class Witnessed {
  rig: Rig;
  #witness: WireClient;
  #published = 0;
  #inputs = 0;

  private constructor(rig: Rig, witness: WireClient) {
    this.rig = rig;
    this.#witness = witness;
  }

  static async open(): Promise<Witnessed> {
    const rig = await Rig.start({
      topicsMax: 20,
      frameBytes: 4096,
      subscriptionsMax: 4,
      connectionsMax: 8,
      segmentBytes: 65_536,
    });
    const witness = await rig.client();
    await witness.create(WITNESS);
    return new Witnessed(rig, witness);
  }

  async take(frames: readonly (string | Uint8Array)[]): Promise<string> {
    const socket = this.rig.network.dial();
    await turns(2);
    holds(socket.state === 'open', 'a client may come in');
    for (const frame of frames) {
      if (typeof frame === 'string') socket.sendText(frame);
      else socket.sendBinary(frame);
    }
    await turns(4);
    const codes = new Set<string>();
    for (const frame of socket.frames) {
      const text =
        typeof frame === 'string'
          ? frame
          : Buffer.from(frame.subarray(4, 4 + new DataView(frame.buffer, frame.byteOffset).getUint32(0))).toString();
      const reply = JSON.parse(text) as { op?: unknown; code?: unknown };
      holds(typeof reply.op === 'string', 'a reply says what it is');
      if (reply.op === 'error') checkCode(reply.code);
      codes.add(reply.op === 'error' ? String(reply.code) : reply.op);
    }
    if (socket.closed !== null) {
      const { code } = socket.closed;
      holds(Object.hasOwn(closeCodeTable, code), `${code} is a documented close code`);
      holds(code !== 1011, `no input is a defect of the broker: ${socket.closed.reason}`);
    }
    const end = `${socket.closed?.code ?? 'open'} ${[...codes].sort().join(' ')}`;
    socket.close();
    await this.#look();
    return end;
  }

  async #look(): Promise<void> {
    const lines = this.rig.logger.lines.filter(({ level }) => level === 'error');
    holds(lines.length === 0, `nothing is logged as an error; got ${JSON.stringify(lines[0])}`);
    this.#inputs += 1;
    if (this.#inputs % LOOK_INPUTS !== 0) return;
    const answer = await this.#witness.ask({ op: 'publish', topic: WITNESS, partition: 0, value: this.#published });
    holds(
      answer?.op === 'published' && answer.offset === this.#published,
      `others are served: ${JSON.stringify(answer)}`,
    );
    this.#published += 1;
    if (this.#inputs % RESTART_INPUTS !== 0) return;
    await this.restart();
  }

  /** Everything stored reads again, as JSON too, and the witness's records are all there and no others. */
  async restart(): Promise<void> {
    const report = await this.rig.restart();
    holds(report.exitCode === 0, 'a broker that was given bad input stops in order');
    this.#witness = await this.rig.client();
    const { topics } = await this.#witness.ask({ op: 'topics' });
    for (const { topic } of topics as { topic: string }[]) {
      await this.#witness.ask({ op: 'subscribe', id: topic, topic, from: 'earliest', credit: 1_000_000 });
      const subscription = this.#witness.replyTo(topic);
      if (subscription?.op !== 'subscribed') continue;
      const due = (await this.#witness.counts(topic)).reduce((sum, count) => sum + count, 0);
      await turns(4 + due / 50);
      const values = [...this.#witness.delivered(subscription.subscription).values()].flat();
      holds(values.length === due, `all of ${topic} reads: ${values.length} of ${due}`);
      if (topic === WITNESS)
        holds(
          values.every((value, index) => value === index),
          'the witness finds its own',
        );
      await this.#witness.ask({ op: 'unsubscribe', subscription: subscription.subscription });
    }
  }

  async close(): Promise<void> {
    await this.rig.stop({ mode: 'fast' });
  }
}

function checkCode(code: unknown): void {
  const row = typeof code === 'string' && Object.hasOwn(errorTable, code) ? errorTable[code as 'INTERNAL'] : null;
  holds(row !== null && row.where === 'wire', `${String(code)} is a code of the wire`);
  holds(code !== 'INTERNAL', 'no input is a defect of the broker');
}

const commands = [
  ...textCommand.seeds().map((text) => framed(Buffer.from(text).toString())),
  ...binaryCommand.seeds().map((bytes) => framed(bytes)),
  framed('{"op":"hello","producer":"p"}'),
];
const words = textCommand.dictionary.filter((word) => typeof word === 'string');

let broker: Witnessed | null = null;

export const session: AsyncTarget = {
  name: 'session',
  seeds: () => [joined(...commands.slice(1, 9)), joined(...commands.slice(8)), ...commands],
  dictionary: [...words, Uint8Array.of(0, 0, 0), Uint8Array.of(1, 0, 4)],
  mutators: [framesMutator(words, commands), framesMutator(words, commands)],
  bytesMax: 8192,
  inputMs: 20_000,
  open: async () => {
    const opened = await Witnessed.open();
    broker = opened;
    return async () => {
      await opened.restart();
      await opened.close();
      await setImmediate();
    };
  },
  runAsync: async (input) => {
    holds(broker !== null, 'the broker is open');
    return broker.take(framesOf(input));
  },
};
