/** Runs loads inside a network namespace, as the test asks by messages; ends with its parent. See `agent-process.ts`. */
import { get } from 'node:http';
import WebSocket from 'ws';
import { connect } from '../../../src/client/index.ts';
import type { AgentCall, AgentCalls } from './agent-process.ts';
import { LibraryLoad } from './library-load.ts';
import { type Load, liveness } from './load.ts';
import { WireLoad } from './wire-load.ts';

const loads = new Map<string, Load>();

const consumers: { records: number }[] = [];

/** Read to its end, which is that of the process. */
function countedBy(subscription: AsyncIterable<unknown>): { records: number } {
  const counted = { records: 0 };
  const read = async (): Promise<void> => {
    for await (const _ of subscription) counted.records += 1;
  };
  void read();
  return counted;
}

function loadNamed(name: string): Load {
  const load = loads.get(name);
  if (load === undefined) throw new RangeError(`there is no load ${name}`);
  return load;
}

const calls: { [Name in keyof AgentCalls]: (asked: AgentCalls[Name]['asked']) => Promise<AgentCalls[Name]['answer']> } =
  {
    async begin({ kind, ...options }) {
      loads.set(options.name, await (kind === 'library' ? LibraryLoad : WireLoad).begin(options));
      return undefined;
    },
    async consume({ url, topic, count }) {
      for (let each = 0; each < count; each += 1) {
        const client = await connect(url, { WebSocket, backoff: { minMs: 50, maxMs: 500 }, liveness });
        const subscription = client.subscribe(topic, { from: 'earliest' });
        await subscription.ready;
        consumers.push(countedBy(subscription));
      }
    },
    async consumed() {
      return consumers.map(({ records }) => records);
    },
    async finish({ name }) {
      const load = loadNamed(name);
      loads.delete(name);
      return load.finish();
    },
    async fill({ url, topic, records, bytes }) {
      const client = await connect(url, { WebSocket });
      const value = 'x'.repeat(bytes);
      await Promise.all(Array.from({ length: records }, () => client.publish(topic, { value })));
      await client.close();
    },
    fetch: ({ url }) =>
      new Promise((resolve, reject) => {
        // A connection of its own each time: none is left half open by what is done to the network.
        get(url, { agent: false }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve(text));
        }).on('error', reject);
      }),
  };

process.on('message', ({ id, call, asked }: AgentCall) => {
  const run = calls[call] as (asked: unknown) => Promise<unknown>;
  Promise.resolve()
    .then(() => run(asked))
    .then(
      (answer) => process.send?.({ id, answer }),
      (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }),
    );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });
