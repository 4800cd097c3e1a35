/**
 * What a data directory holds of a topic: by the independent reader of its files, that shares no code with the broker;
 * and as a broker serves it that starts on it.
 */
import { expect } from 'vitest';
import { readDataDirectory, realFolder, type StoredDirectory } from '../checker/data-directory.ts';
import { recordsOf, type StoredRecord } from '../support/wire.ts';
import type { Site } from './site.ts';

/** Throws when the files are not what `docs/storage.md` says; the torn end that a kill leaves is. */
export function directoryAt(data: string): StoredDirectory {
  const directory = readDataDirectory(realFolder(data));
  expect(directory.faults).toEqual([]);
  return directory;
}

/** In order for each partition. */
export function storedIn(data: string, topic: string): StoredRecord[] {
  const partitions = [...(directoryAt(data).topics.get(topic)?.partitions ?? [])];
  return partitions.flatMap(([partition, { records }]) =>
    records.map(({ offset, value, encoding }) => {
      const text = Buffer.from(value ?? []).toString();
      return { partition, offset, value: encoding === 'json' ? (JSON.parse(text) as unknown) : text };
    }),
  );
}

/** The same, from a broker that is started for it and stops again; throws when the two differ. */
export async function servedFrom(site: Site, data: string, topic: string): Promise<StoredRecord[]> {
  // What is to be looked at needs no room kept back for writes.
  const broker = await site.start({ data, flags: ['--reserve-bytes', '0'] });
  const served = await recordsOf(broker.url, topic);
  expect(await broker.stop(), broker.output).toEqual({ code: 0, signal: null });
  const placeOf = ({ partition, offset, value }: StoredRecord): string => `${partition}/${offset} ${String(value)}`;
  expect(served.map(placeOf).sort()).toEqual(storedIn(data, topic).map(placeOf).sort());
  return served;
}
