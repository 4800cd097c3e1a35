/**
 * How brokers end. S11: a shard is released once, and nothing is written to it afterwards. L1: a broker that was told to
 * stop is gone within its budget; the watchdog may be needed only where a file call hangs. I3: exit code 0 if and only
 * if it was clean. I7: behind a clean stop nothing is left. I11: what failed or was given up is never called released.
 */
import type { Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

/** Half a second for the watchdog, and what a turn of the simulation may add. */
const LATE_MS = 600;
const IMMEDIATE_MS = 2000;

const over = new Set(['released', 'failed', 'abandoned']);

export function checkReleases(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const ended = new Map<string, { readonly index: number; readonly state: string }>();
  for (const { index, event } of evidence.all('child')) {
    if (!over.has(event.state)) continue;
    const name = `${event.broker} ${event.child}`;
    const before = ended.get(name);
    if (before !== undefined) {
      const invariant = before.state === 'released' ? 'S11' : 'I11';
      const text = `${event.child} of broker ${event.broker} is ${before.state}, and then ${event.state}`;
      violations.push({ invariant, text, excerpt: evidence.excerpt([before.index, index]) });
    }
    ended.set(name, { index, state: event.state });
  }
  for (const { index, event } of evidence.all('write')) {
    const end = ended.get(`${event.broker} shard-${String(event.shard).padStart(2, '0')}`);
    if (end === undefined || index < end.index) continue;
    const text = `broker ${event.broker} writes to shard ${event.shard}, which was ${end.state}`;
    violations.push({ invariant: 'S11', text, excerpt: evidence.excerpt([end.index, index]) });
  }
  for (const { index, event } of evidence.all('ended')) {
    for (const { id, state } of event.report.children) {
      const told = ended.get(`${event.broker} ${id}`);
      if (told === undefined || told.index > index || told.state === 'released' || state === told.state) continue;
      const text = `${id} of broker ${event.broker} was ${told.state}, and the report calls it ${state}`;
      violations.push({ invariant: 'I11', text, excerpt: evidence.excerpt([told.index, index]) });
    }
  }
  return violations;
}

export function checkDeadline(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const last = evidence.history.at(-1)?.t ?? 0;
  for (const start of evidence.all('start')) {
    const { broker, budgetMs } = start.event;
    const ofBroker = <E extends { readonly event: { readonly broker: number } }>(at: E): boolean =>
      at.event.broker === broker;
    const stops = evidence.all('stop').filter(ofBroker);
    const end = [...evidence.all('ended'), ...evidence.all('killed'), ...evidence.all('start-failed')].find(ofBroker);
    let due = Number.POSITIVE_INFINITY;
    const [first] = stops;
    if (first === undefined) continue;
    due = first.event.t + budgetMs;
    for (const { event } of stops) {
      if (event.mode === 'immediate') due = Math.min(due, event.t + IMMEDIATE_MS);
      if (event.deadlineMs !== null) due = Math.min(due, event.t + event.deadlineMs);
    }
    const gone = end?.event.t ?? last;
    if (gone > due + LATE_MS) {
      const text = `broker ${broker} was to be gone by ${due} ms, and ${end === undefined ? 'is there' : 'went'} at ${gone} ms`;
      violations.push({
        invariant: 'L1',
        text,
        excerpt: evidence.excerpt([
          start.index,
          ...stops.map(({ index }) => index),
          ...(end === undefined ? [] : [end.index]),
        ]),
      });
    }
    const [child] = evidence.all('child').filter(ofBroker);
    for (const { index, event } of evidence.all('cancel').filter(ofBroker)) {
      // A drain asked for before there was a child may be called off, and the stop goes on.
      if (!event.done || index < first.index || child === undefined || index < child.index) continue;
      const text = `broker ${broker} was asked to stop, and called that off with a drain`;
      violations.push({ invariant: 'L1', text, excerpt: evidence.excerpt([first.index, index]) });
    }
    // Before there is a child, a start that is too slow for a short deadline has nobody else to end it.
    if (child !== undefined && end?.event.e === 'killed' && end.event.how === 'watchdog' && end.event.hungCalls === 0) {
      const text = `the watchdog had to end broker ${broker}, and no file call hung`;
      violations.push({ invariant: 'L1', text, excerpt: evidence.excerpt([first.index, end.index]) });
    }
  }
  return violations;
}

export function checkReports(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const { index, event } of evidence.all('ended')) {
    const { outcome, exitCode, lost, unknown, unaccounted, children } = event.report;
    const excerpt = evidence.excerpt([index]);
    const whole =
      lost === 0 && unknown === 0 && unaccounted.length === 0 && children.every(({ state }) => state === 'released');
    if ((exitCode === 0) !== (outcome === 'clean') || (exitCode === 0 && !whole)) {
      const text = `broker ${event.broker} ended with ${exitCode} (${outcome}): ${JSON.stringify(event.report)}`;
      violations.push({ invariant: 'I3', text, excerpt });
    }
    const { files, timers, locks, unmarked } = event.left;
    if (unmarked.length > 0) {
      const text = `broker ${event.broker} ended clean, and the log of shard ${unmarked.join(', ')} has no clean mark`;
      violations.push({ invariant: 'I3', text, excerpt });
    }
    if (outcome === 'clean' && files + timers + locks > 0) {
      const text = `broker ${event.broker} ended clean and left ${files} files, ${timers} timers, ${locks} locks`;
      violations.push({ invariant: 'I7', text, excerpt });
    }
  }
  return violations;
}
