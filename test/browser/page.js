/**
 * The page of the browser test, bundled by it. It publishes the lines of files that its server has, keyed by file, and
 * at the same time reads the topic and keeps what it read in IndexedDB, with where it stands. Loaded again it goes on,
 * on both sides. What it does is told in `globalThis.page`.
 */
import { connect } from '../../src/client/index.ts';

const page = {
  /** Lines left out because an earlier load had them stored. */
  skipped: 0,
  acked: 0,
  /** Records kept by this load. */
  kept: 0,
  /** Offsets at which this load began to read, by partition. */
  began: [],
  published: false,
  failure: null,
  sendKept,
  sendStored,
};
globalThis.page = page;

const manifest = await (await fetch('/manifest')).json();
const { url, topic, partitions, files } = manifest;

const database = await new Promise((resolve, reject) => {
  const opening = indexedDB.open('page', 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore('records', { keyPath: ['partition', 'offset'] });
    opening.result.createObjectStore('positions');
  };
  opening.onsuccess = () => resolve(opening.result);
  opening.onerror = () => reject(opening.error);
});

run().catch((error) => {
  page.failure ??= String(error);
});

async function run() {
  const client = await connect(url, { producer: 'page', name: 'browser test' });
  await client.createTopic(topic, { partitions });
  const reading = Array.from({ length: partitions }, (_, partition) => read(client, partition));
  await publish(client);
  page.published = true;
  await Promise.all(reading);
}

/** A file's lines go to the partition of its place in the list, so that what is stored can be counted off. */
async function publish(client) {
  const stored = Array(partitions).fill(0);
  for (const { partition, sequence } of await client.producerState(topic)) stored[partition] = sequence + 1;
  const acks = [];
  for (const [index, name] of files.entries()) {
    const partition = index % partitions;
    const lines = textOf(await (await fetch(`/files/${index}`)).arrayBuffer()).match(/[^\n]*\n|[^\n]+$/g) ?? [];
    for (const value of lines) {
      if (stored[partition] > 0) {
        stored[partition] -= 1;
        page.skipped += 1;
        continue;
      }
      acks.push(
        client.publish(topic, { key: name, value, partition }).then(() => {
          page.acked += 1;
        }),
      );
    }
  }
  await Promise.all(acks);
}

async function read(client, partition) {
  const offset = (await request(database.transaction('positions').objectStore('positions').get(partition))) ?? 0;
  page.began[partition] = offset;
  for await (const batch of client.subscribe(topic, { partitions: [partition], from: { offset } }).batches()) {
    // Records and position in one transaction: a load that ends in between has both or neither.
    const transaction = database.transaction(['records', 'positions'], 'readwrite');
    const records = transaction.objectStore('records');
    for (const record of batch) {
      records.add({ partition, offset: record.offset, key: record.key, value: record.text() });
      transaction.objectStore('positions').put(record.offset + 1, partition);
    }
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    page.kept += batch.length;
  }
}

/** Everything that was kept, over all loads, as files. */
async function sendKept() {
  const rows = await request(database.transaction('records').objectStore('records').getAll());
  await send('kept', rows);
  return rows.length;
}

/** Everything in the topic, read anew from the beginning, as files. */
async function sendStored() {
  const client = await connect(url);
  const { state } = await client.describe(topic);
  let left = state.reduce((sum, { start, highWatermark }) => sum + highWatermark - start, 0);
  const rows = [];
  for await (const record of client.subscribe(topic, { from: 'earliest' })) {
    rows.push({ key: record.key, value: record.text() });
    left -= 1;
    if (left === 0) break;
  }
  await client.close();
  await send('stored', rows);
  return rows.length;
}

async function send(what, rows) {
  const values = new Map(files.map((name) => [name, []]));
  for (const { key, value } of rows) values.get(key).push(value);
  for (const [index, name] of files.entries()) {
    await fetch(`/${what}/${index}`, { method: 'POST', body: new Blob(values.get(name)) });
  }
}

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

function textOf(bytes) {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}
