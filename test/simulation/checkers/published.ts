/** S2: nothing is stored or given that was not published to that topic, and one place never shows two records. */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkPublished(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const wrong = (text: string, indexes: readonly number[]): void => {
    violations.push({ invariant: 'S2', text, excerpt: evidence.excerpt(indexes) });
  };
  const topicOf = (id: string): string | undefined => evidence.sendings.get(id)?.[0]?.event.topic;
  const shown = new Map<string, { readonly id: string | null; readonly index: number }>();
  const show = (place: string, id: string | null, index: number): void => {
    const before = shown.get(place);
    if (before !== undefined && before.id !== id)
      wrong(`${place} was ${before.id}, and then ${id}`, [before.index, index]);
    else shown.set(place, { id, index });
  };
  for (const { index, event } of evidence.all('given')) {
    const { id, place } = event;
    const name = `${place.topic}/${place.partition}@${place.offset}`;
    if (id === null) wrong(`${name} was given, and its value is not whole`, [index]);
    else if (topicOf(id) !== place.topic) wrong(`${name} was given ${id}, which nobody published there`, [index]);
    else if (evidence.durabilityOf(place.topic) !== null) show(`${name} of epoch ${place.epoch}`, id, index);
  }
  for (const { index, event } of evidence.all('stored')) {
    if (evidence.durabilityOf(event.topic) === null) continue;
    for (const { id, partition, offset, epoch } of event.places) {
      show(`${event.topic}/${partition}@${offset} of epoch ${epoch}`, id, index);
    }
  }
  const last = evidence.all('content').at(-1)?.index ?? 0;
  for (const { topic, partitions } of evidence.content?.topics ?? []) {
    for (const { partition, records } of partitions) {
      records.forEach(({ id, epoch }, offset) => {
        const name = `${topic}/${partition}@${offset}`;
        if (id === null) wrong(`${name} is stored, and its value is not whole`, []);
        else if (topicOf(id) !== topic) wrong(`${name} holds ${id}, which nobody published there`, []);
        else if (evidence.durabilityOf(topic) !== null) show(`${name} of epoch ${epoch}`, id, last);
      });
    }
  }
  // The content is too long to be shown whole.
  return violations.map((each) => ({ ...each, excerpt: each.excerpt.filter(({ e }) => e !== 'content') }));
}
