/** The descriptors of a reader, at its end. */
import { expect, it } from 'vitest';
import { EntryReader } from '../../src/storage/entry-reader.ts';
import { segmentAt } from '../../src/storage/segment.ts';
import { MemoryDisk } from '../../src/testing/memory-disk.ts';

it('is closed when the last read is over, and opens nothing afterwards', async () => {
  const disk = new MemoryDisk();
  const segment = segmentAt('/', 1);
  await (await disk.openWrite(segment.path, 'create')).close();
  const reader = new EntryReader(disk);
  let go: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  disk.onCall = (op) => (op === 'openRead' ? held : undefined);
  const size = reader.size(segment);
  let isClosed = false;
  const closed = reader.close().then(() => {
    isClosed = true;
  });
  await new Promise(setImmediate);
  expect(isClosed).toBe(false);
  go();
  expect(await size).toBe(0);
  await closed;
  expect(disk.openFiles).toBe(0);
  await expect(reader.size(segment)).rejects.toMatchObject({ code: 'LOG_READ_FAILED' });
});
