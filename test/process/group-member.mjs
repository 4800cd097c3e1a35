/**
 * A member of a group as a process of its own, of the built package: prints what it is told and given as lines of JSON.
 * Leaves its group on SIGTERM. Arguments: url, group, topic, member id, ms of work for each record.
 */
import { WebSocket } from 'ws';
import { joinGroup } from '../../dist/client/groups.js';
import { connect } from '../../dist/client/index.js';

const [url, group, topic, member, workMs = '0'] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify({ ...event, t: Date.now() })}\n`);

const client = await connect(url, { WebSocket, name: member, backoff: { minMs: 20, maxMs: 300 } });
const consumer = joinGroup(client, {
  group,
  topics: [topic],
  member,
  commitMs: 100,
  onAssigned: (partitions) => {
    say({ e: 'owned', partitions: partitions.map(({ partition, generation }) => [partition, generation]) });
  },
});
say({ e: 'state', state: client.state });
client.on('error', ({ code, message }) => say({ e: 'error', code, message }));
client.on('state', (state) => say({ e: 'state', state }));
process.once('SIGTERM', async () => {
  await consumer.close({ withinMs: 1000 });
  say({ e: 'left' });
  await client.close();
  process.exit(0);
});

let given = [];
const tell = () => {
  if (given.length > 0) say({ e: 'given', given });
  given = [];
};
setInterval(tell, 20);
for await (const { partition, offset } of consumer) {
  given.push([partition, offset]);
  // What is told is on its way before the next record is asked for, and so before this one can be committed.
  if (given.length >= 500 || workMs !== '0') tell();
  if (workMs !== '0') await new Promise((resolve) => setTimeout(resolve, Number(workMs)));
}
tell();
