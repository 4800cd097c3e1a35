/** The histogram of answers that a broker has for Prometheus, and what came between two looks at it. Pure. */

/** More text than any broker has in its figures. */
const TEXT_CHARACTERS_MAX = 4 * 1024 * 1024;
const bucket = /^sluice_shard_ack_latency_seconds_bucket\{([^}]*)\} (\d+(?:\.\d+)?(?:e\+?\d+)?)$/gm;

/** Answers given within so many seconds or less, by those seconds: over all shards, since the start. */
export type Buckets = ReadonlyMap<number, number>;

/** Null when there is none in it. */
export function bucketsOf(text: string): Buckets | null {
  const counts = new Map<number, number>();
  for (const [, labels = '', count] of text.slice(0, TEXT_CHARACTERS_MAX).matchAll(bucket)) {
    const [, bound] = /(?:^|,)le="([^"]+)"/.exec(labels) ?? [];
    const seconds = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound);
    if (!Number.isNaN(seconds)) counts.set(seconds, (counts.get(seconds) ?? 0) + Number(count));
  }
  return counts.size === 0 ? null : counts;
}

/** Within its bucket a quantile is taken to lie evenly, as Prometheus does; null when nothing came between the two. */
export function quantileMs(before: Buckets, now: Buckets, part: number): number | null {
  const bounds = [...now.keys()].sort((one, other) => one - other);
  const grown = bounds.map((bound) => Math.max((now.get(bound) ?? 0) - (before.get(bound) ?? 0), 0));
  const all = grown.at(-1) ?? 0;
  if (all === 0) return null;
  const at = grown.findIndex((count) => count >= all * part);
  const upper = bounds[at] ?? 0;
  const lower = bounds[at - 1] ?? 0;
  if (upper === Number.POSITIVE_INFINITY) return lower * 1000;
  const below = grown[at - 1] ?? 0;
  const within = (grown[at] ?? 0) - below;
  return (lower + (upper - lower) * ((all * part - below) / Math.max(within, 1))) * 1000;
}
