/**
 * S6: one record, and one (producer, sequence), is stored at most once; a resend is answered with the place of the
 * first time.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkOnce(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const wrong = (text: string, id: string): void => {
    violations.push({ invariant: 'S6', text, excerpt: evidence.storyOf(id) });
  };
  const places = new Map<string, string>();
  for (const { topic, partitions } of evidence.content?.topics ?? []) {
    for (const { partition, records } of partitions) {
      const sequences = new Map<string, number>();
      records.forEach(({ id, producer, sequence }, offset) => {
        const place = `${topic}/${partition}@${offset}`;
        if (id === null) return;
        const before = places.get(id);
        if (before !== undefined) wrong(`${id} is stored at ${before} and again at ${place}`, id);
        places.set(id, place);
        if (producer === null || sequence === null) return;
        const earlier = sequences.get(`${producer} ${sequence}`);
        if (earlier !== undefined)
          wrong(
            `sequence ${sequence} of ${producer} is stored at ${earlier} and at ${offset} of ${topic}/${partition}`,
            id,
          );
        sequences.set(`${producer} ${sequence}`, offset);
      });
    }
  }
  return [...violations, ...answeredAlike(evidence)];
}

/** Of `sync` topics: what was acknowledged there never moves. */
function answeredAlike(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const told = new Map<string, string>();
  for (const { event } of evidence.all('stored')) {
    if (evidence.durabilityOf(event.topic) !== 'sync') continue;
    for (const { id, partition, offset, epoch } of event.places) {
      const place = `${event.topic}/${partition}@${offset} of epoch ${epoch}`;
      const before = told.get(id);
      if (before !== undefined && before !== place) {
        const text = `${id} was acknowledged at ${before}, and its resend at ${place}`;
        violations.push({ invariant: 'S6', text, excerpt: evidence.storyOf(id) });
      }
      told.set(id, place);
    }
  }
  return violations;
}
