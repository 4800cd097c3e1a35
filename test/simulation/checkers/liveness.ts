/**
 * L2: once nothing goes wrong any more, everything comes right: a broker serves, publishes are answered, subscriptions
 * reach the end, and the last stop is clean. E1: no error that nobody handles, and no defect that the broker tells of.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkLiveness(evidence: Evidence): Violation[] {
  const violations: Violation[] = evidence.all('stuck').map(({ index, event }) => ({
    invariant: 'L2',
    text: `it did not come right: ${event.text}`,
    excerpt: evidence.excerpt([index]),
  }));
  const { content } = evidence;
  const last = evidence.all('ended').at(-1);
  if (content === null) return violations;
  if (last?.event.report.outcome !== 'clean') {
    const text = `the last stop was ${last?.event.report.outcome ?? 'none'}, with nothing in its way`;
    violations.push({ invariant: 'L2', text, excerpt: evidence.excerpt(last === undefined ? [] : [last.index]) });
  } else if (!content.clean.every(Boolean)) {
    violations.push({
      invariant: 'I3',
      text: 'the last stop was clean, and a shard has no clean mark',
      excerpt: evidence.excerpt([last.index]),
    });
  }
  return violations;
}

export function checkErrors(evidence: Evidence): Violation[] {
  const defects: Violation[] = evidence.all('defect').map(({ index, event }) => ({
    invariant: 'E1',
    text: event.text,
    excerpt: evidence.excerpt([index]),
  }));
  const told: Violation[] = evidence
    .all('refused')
    .filter(({ event }) => event.code === 'INTERNAL')
    .map(({ index, event }) => ({
      invariant: 'E1',
      text: `${event.client} was told INTERNAL`,
      excerpt: evidence.excerpt([index]),
    }));
  return [...defects, ...told];
}
