/**
 * The bodies of all entries but batches: JSON, since they are few and people read them. `docs/storage.md` has the
 * table. A body that does not read as its kind is LOG_CORRUPT: its CRC was right, so a defect wrote it.
 */
import { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { EntryKind } from '../storage/log.ts';

const count = z.number().int().nonnegative();
const retention = z.object({ ms: count.nullable(), bytes: count.nullable() });
const durability = z.enum(['sync', 'async']);

const topicBody = z.discriminatedUnion('change', [
  z.object({
    change: z.literal('create'),
    topic: z.object({
      name: z.string(),
      id: count,
      createdAt: count,
      partitions: count,
      durability,
      retention,
    }),
  }),
  z.object({ change: z.literal('delete'), name: z.string(), id: count }),
]);

const partitionBody = z.discriminatedUnion('change', [
  z.object({
    change: z.literal('open'),
    handle: count,
    topicId: count,
    topic: z.string(),
    partition: count,
    durability,
  }),
  z.object({ change: z.literal('close'), handle: count }),
]);

/** Rows of handle, group, offset: what the group committed; up to where it has been given records. */
const commitBody = z.array(z.tuple([count, z.string(), count]));

/** `clean`: the log ended with a clean mark. `shorter`: it came back without entries that had been durable. */
const openedBody = z.object({ epoch: count, time: count, clean: z.boolean(), shorter: z.boolean() });
const cleanBody = z.object({ time: count });

/** A group whole: members with their topics, owners as rows of partition key, index of the member, generation. */
export const groupBody = z.discriminatedUnion('change', [
  z.object({
    change: z.literal('set'),
    group: z.string(),
    generation: count,
    members: z.array(z.tuple([z.string(), z.array(z.string())])),
    owners: z.array(z.tuple([z.string(), count, count])),
  }),
  z.object({ change: z.literal('forget'), group: z.string() }),
]);

const schemas = {
  [EntryKind.topic]: topicBody,
  [EntryKind.partition]: partitionBody,
  [EntryKind.commit]: commitBody,
  [EntryKind.opened]: openedBody,
  [EntryKind.clean]: cleanBody,
  [EntryKind.delivered]: commitBody,
  [EntryKind.group]: groupBody,
} as const;

export type ControlKind = keyof typeof schemas;
export type ControlBody<K extends ControlKind> = z.infer<(typeof schemas)[K]>;
export type CommitRow = ControlBody<typeof EntryKind.commit>[number];

export function writeControl<K extends ControlKind>(_kind: K, body: ControlBody<K>): Uint8Array {
  return Buffer.from(JSON.stringify(body));
}

export function readControl<K extends ControlKind>(kind: K, bytes: Uint8Array): ControlBody<K> {
  try {
    return schemas[kind].parse(
      JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()),
    ) as ControlBody<K>;
  } catch (error) {
    throw BrokerError.from(error, 'LOG_CORRUPT', `an entry of kind ${kind} does not read as one`);
  }
}
