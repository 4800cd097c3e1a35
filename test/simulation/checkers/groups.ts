/**
 * S7: nothing is skipped by a commit: whatever lies below what a group has committed at the end was given to one of its
 * members. S8: a partition has one owner in a group for each generation, and one that was told of a later owner is fenced:
 * no commit that an earlier one makes behind that is confirmed, and the later one begins behind all that were.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkGroups(evidence: Evidence): Violation[] {
  return [...skipped(evidence), ...owners(evidence), ...fences(evidence)];
}

function skipped(evidence: Evidence): Violation[] {
  const { content } = evidence;
  if (content === null) return [];
  const given = new Map<string, Set<string>>();
  for (const { event } of evidence.all('member-given')) {
    const ids = given.get(event.group) ?? new Set();
    if (event.id !== null) ids.add(event.id);
    given.set(event.group, ids);
  }
  const violations: Violation[] = [];
  for (const [row, offset] of content.commits) {
    const [topic = '', partition = '', group = ''] = row.split('/');
    const ids = given.get(group);
    if (ids === undefined || evidence.durabilityOf(topic) === null) continue;
    const records = evidence.recordsOf(topic, Number(partition)) ?? [];
    for (const [at, { id }] of records.slice(0, offset).entries()) {
      if (id === null || ids.has(id)) continue;
      const text = `${group} has committed ${offset} of ${topic}/${partition}, and nobody in it was given ${id} at ${at}`;
      violations.push({ invariant: 'S7', text, excerpt: evidence.storyOf(id) });
      break;
    }
  }
  return violations;
}

type Row = { readonly group: string; readonly topic: string; readonly partition: number };

function rowOf({ group, topic, partition }: Row): string {
  return `${group} ${topic}/${partition}`;
}

function owners(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const known = new Map<string, At<'owned'>>();
  for (const at of evidence.all('owned')) {
    const key = `${rowOf(at.event)} in generation ${at.event.generation}`;
    const first = known.get(key);
    if (first === undefined) known.set(key, at);
    else if (first.event.member !== at.event.member) {
      const text = `${key} is owned by ${first.event.member} and ${at.event.member}`;
      violations.push({ invariant: 'S8', text, excerpt: evidence.excerpt([first.index, at.index]) });
    }
  }
  return violations;
}

function fences(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const confirmed = new Map(evidence.all('member-committed').map((at) => [at.event.commit, at]));
  const taken = evidence.all('owned');
  for (const { index, event } of evidence.all('member-commit')) {
    const answer = confirmed.get(event.commit);
    if (answer === undefined) continue;
    const behind = taken.filter((at) => rowOf(at.event) === rowOf(event) && at.event.generation > event.generation);
    // Of `async` topics records may be lost, and offsets with them.
    const short = evidence.durabilityOf(event.topic) === 'sync' && behind.find((at) => at.event.offset < event.offset);
    if (short) {
      const text =
        `${short.event.member} begins at ${short.event.offset} of ${rowOf(event)} in generation ${short.event.generation}, ` +
        `where ${event.member} committed ${event.offset} in ${event.generation}`;
      violations.push({ invariant: 'S8', text, excerpt: evidence.excerpt([index, answer.index, short.index]) });
    }
    const later = behind.find((at) => at.index < index);
    if (later === undefined) continue;
    const text =
      `${event.member} committed ${event.offset} of ${rowOf(event)} in generation ${event.generation}, ` +
      `which ${later.event.member} had in ${later.event.generation} before`;
    violations.push({ invariant: 'S8', text, excerpt: evidence.excerpt([later.index, index, answer.index]) });
  }
  return violations;
}
