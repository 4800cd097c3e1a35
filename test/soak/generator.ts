/**
 * Clients of a soak: a process with some hundreds of connections that come, work, and go in every way there is. Started
 * by `soak.ts` with URL, number of connections, a name and a seed; ends when its parent disconnects.
 */
import WebSocket from 'ws';
import { type Client, connect } from '../../src/client/index.ts';
import { Dice } from '../simulation/dice.ts';

const [, , url = '', countText = '0', name = 'g', seedText = '1'] = process.argv;
const count = Number(countText);
const dice = new Dice(Number(seedText));
const SHARED_TOPICS = 8;
const GROUPS = 4;
/** Connections made at a time. */
const DIALLING = 50;

let stopped = false;
const tally: Record<string, number> = { connections: 0, published: 0, given: 0, topics: 0, killed: 0, abandoned: 0 };
const note = (what: string, by = 1): void => {
  tally[what] = (tally[what] ?? 0) + by;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const sharedTopic = (): string => `shared-${dice.int(0, SHARED_TOPICS - 1)}`;

let dialling = 0;
const queue: (() => void)[] = [];

/** One after another, as many at a time as may be. */
async function inTurn<T>(run: () => Promise<T>): Promise<T> {
  if (dialling >= DIALLING) await new Promise<void>((resolve) => queue.push(resolve));
  dialling += 1;
  try {
    return await run();
  } finally {
    dialling -= 1;
    queue.shift()?.();
  }
}

/** Resolves with an open and welcomed socket, or null. */
function dial(): Promise<WebSocket | null> {
  return inTurn(dialNow);
}

function dialNow(): Promise<WebSocket | null> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.once('message', () => resolve(socket));
    socket.once('error', () => resolve(null));
    socket.once('close', () => resolve(null));
    note('connections');
  });
}

const say = (socket: WebSocket, command: object): void => {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
};

/** Goes, in one of the ways of going. */
async function leave(socket: WebSocket): Promise<void> {
  const way = dice.int(0, 9);
  if (way < 5) socket.close();
  else if (way < 8) {
    note('killed');
    socket.terminate();
  } else {
    // Half open: it reads and answers nothing any more, and keeps its socket for longer than the broker waits.
    note('abandoned');
    socket.pause();
    await pause(12_000);
    socket.terminate();
  }
}

/** By hand: subscribes, gives credit, commits, publishes under a lasting producer, and goes. */
async function byHand(slot: number): Promise<void> {
  const socket = await dial();
  if (socket === null) return;
  const topic = sharedTopic();
  const group = `group-${dice.int(0, GROUPS - 1)}`;
  socket.on('error', () => {});
  socket.on('message', (data) => {
    const reply = JSON.parse(String(data)) as {
      op: string;
      subscription: number;
      partition: number;
      records: { offset: number }[];
    };
    if (reply.op === 'published') note('published');
    if (reply.op !== 'records') return;
    note('given', reply.records.length);
    const { subscription, partition, records } = reply;
    say(socket, { op: 'credit', subscription, records: records.length });
    if (dice.chance(0.1))
      say(socket, { op: 'commit', id: 'c', subscription, partition, offset: (records.at(-1)?.offset ?? 0) + 1 });
  });
  say(socket, { op: 'hello', id: 'h', producer: `${name}-${slot}` });
  say(socket, { op: 'subscribe', id: 's', topic, from: 'latest', group, credit: 50 });
  const until = performance.now() + dice.spread(300, 20_000);
  while (!stopped && performance.now() < until && socket.readyState === WebSocket.OPEN) {
    say(socket, { op: 'publish', id: 'p', topic, value: 'x'.repeat(dice.int(10, 400)) });
    await pause(dice.spread(500, 8000));
  }
  await leave(socket);
}

/** Reads what there is from the beginning, and then nothing more, until it is cut. */
async function slow(): Promise<void> {
  const socket = await dial();
  if (socket === null) return;
  socket.on('error', () => {});
  say(socket, { op: 'subscribe', id: 's', topic: sharedTopic(), from: { last: 5000 }, credit: 100_000 });
  await pause(dice.spread(50, 500));
  socket.pause();
  await pause(dice.spread(2000, 10_000));
  socket.terminate();
}

/** By the library: topics come and go. */
async function topics(slot: number): Promise<void> {
  let client: Client;
  try {
    const signal = AbortSignal.timeout(20_000);
    client = await inTurn(() => connect(url, { WebSocket, producer: `${name}-l${slot}`, signal }));
  } catch {
    return;
  }
  note('connections');
  const topic = `short.${name}.${slot}`;
  try {
    await client.createTopic(topic, { partitions: dice.int(1, 4) });
    note('topics');
    const reading = (async (): Promise<void> => {
      for await (const _ of client.subscribe(topic, { from: 'earliest' })) note('given');
    })().catch(() => {});
    for (let record = dice.int(1, 10); record > 0 && !stopped; record -= 1) {
      await client.publish(topic, { value: { record } });
      note('published');
      await pause(dice.spread(10, 500));
    }
    await client.deleteTopic(topic);
    await client.close();
    await reading;
  } catch {
    // Whatever became of it: the next round is another.
    await client.close();
  }
}

/** Stays, and says nothing. */
async function idle(): Promise<void> {
  const socket = await dial();
  if (socket === null) return;
  socket.on('error', () => {});
  const until = performance.now() + dice.spread(2000, 60_000);
  while (!stopped && performance.now() < until && socket.readyState === WebSocket.OPEN) await pause(250);
  await leave(socket);
}

const roles = [byHand, byHand, byHand, byHand, byHand, byHand, slow, topics, idle, idle];
async function slotLoop(slot: number): Promise<void> {
  const role = roles[slot % roles.length] ?? idle;
  while (!stopped) {
    await role(slot);
    await pause(dice.spread(10, 1000));
  }
}

process.on('message', () => process.send?.(tally));
process.on('disconnect', () => {
  stopped = true;
  process.exit();
});
await Promise.all(Array.from({ length: count }, (_, slot) => slotLoop(slot)));
