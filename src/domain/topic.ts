/**
 * A topic: its name, its settings and their rules. A name never becomes a path; its alphabet is narrow all the same,
 * so that names read well in logs and leave `*` and `>` free for patterns.
 */

/** `sync`: acknowledged after the synced write. `async`: acknowledged from bounded memory, flushed soon after. */
export type Durability = 'sync' | 'async';

export interface Retention {
  /** Records older than this many ms may go; null keeps them. */
  readonly ms: number | null;
  /** A partition larger than this many bytes drops its oldest; null keeps all. */
  readonly bytes: number | null;
}

export interface TopicSettings {
  readonly partitions: number;
  readonly durability: Durability;
  readonly retention: Retention;
}

export interface Topic extends TopicSettings {
  readonly name: string;
  /** Unique for the life of a data directory: a topic made again under an old name has another id. */
  readonly id: number;
  /** Wall time of creation, ms since 1970. */
  readonly createdAt: number;
}

export const TOPIC_NAME_LENGTH_MAX = 249;
export const PARTITIONS_MAX = 1024;

const namePattern = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** What is wrong with a topic name, in words for its author; null when nothing is. */
export function topicNameFault(name: unknown): string | null {
  if (typeof name !== 'string') return 'a topic name is a string';
  if (name.length === 0) return 'a topic name has at least 1 character';
  if (name.length > TOPIC_NAME_LENGTH_MAX) {
    return `a topic name has at most ${TOPIC_NAME_LENGTH_MAX} characters; this one has ${name.length}`;
  }
  if (!namePattern.test(name)) {
    return `a topic name is made of A–Z a–z 0–9 _ - in parts separated by single dots; got ${JSON.stringify(name.slice(0, 80))}`;
  }
  return null;
}

/** True when both ask for the same topic: what `create` of an existing one is answered by. */
export function sameSettings(a: TopicSettings, b: TopicSettings): boolean {
  return (
    a.partitions === b.partitions &&
    a.durability === b.durability &&
    a.retention.ms === b.retention.ms &&
    a.retention.bytes === b.retention.bytes
  );
}
