/** S9: of a `sync` topic nothing is acknowledged, and nothing given, before a synced write that covers it is over. */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkAcks(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const want = (id: string, topic: string, index: number, what: string): void => {
    if (evidence.durabilityOf(topic) !== 'sync') return;
    if ((evidence.durable.get(id) ?? Number.POSITIVE_INFINITY) < index) return;
    const text = `${id} of ${topic} was ${what} before it was durable`;
    violations.push({ invariant: 'S9', text, excerpt: [...evidence.storyOf(id), ...evidence.excerpt([index])] });
  };
  for (const { index, event } of evidence.all('stored')) {
    for (const { id } of event.places) want(id, event.topic, index, 'acknowledged');
  }
  for (const { index, event } of evidence.all('given')) {
    if (event.id !== null) want(event.id, event.place.topic, index, 'given');
  }
  return violations;
}
