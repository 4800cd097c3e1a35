/**
 * S10: nothing is accepted behind the barrier: what was sent after a broker began to drain is never written by it,
 * unless the drain was called off. I4: what was refused is not in the log, and a connection that is closed for a
 * graceful shutdown had every publish answered that had come before the broker began to drain. Harder ones wait for
 * nobody. What is on its way then is answered if it comes while the broker waits for silence; how long that is on a
 * slow network, nobody can know, so it is not asked for here.
 */
import type { At, Evidence } from './evidence.ts';
import type { Violation } from './violation.ts';

export function checkBarrier(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const draining = new Map<number, number>();
  const events = [...evidence.all('phase'), ...evidence.all('cancel'), ...evidence.all('write')] as readonly At<
    'phase' | 'cancel' | 'write'
  >[];
  for (const { index, event } of [...events].sort((a, b) => a.index - b.index)) {
    if (event.e === 'phase' && event.phase === 'draining') draining.set(event.broker, index);
    else if (event.e === 'cancel' && event.done) draining.delete(event.broker);
    else if (event.e === 'write') {
      const since = draining.get(event.broker);
      if (since === undefined) continue;
      for (const id of event.ids) {
        const sent = evidence.sendings.get(id)?.[0];
        if (sent === undefined || sent.index < since) continue;
        const text = `broker ${event.broker} wrote ${id}, which was sent after it began to drain`;
        violations.push({ invariant: 'S10', text, excerpt: evidence.excerpt([since, sent.index, index]) });
      }
    }
  }
  return violations;
}

export function checkAnswers(evidence: Evidence): Violation[] {
  return [...refusedIsNotStored(evidence), ...answeredBeforeTheClose(evidence)];
}

function refusedIsNotStored(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const { topic, partitions } of evidence.content?.topics ?? []) {
    for (const { partition, records } of partitions) {
      records.forEach(({ id }, offset) => {
        const sendings = id === null ? undefined : evidence.sendings.get(id);
        if (id === null || sendings === undefined) return;
        const codes = sendings.map(({ event }) => {
          const answer = evidence.answers.get(event.sending)?.event;
          return answer?.e === 'refused' ? answer.code : null;
        });
        if (codes.some((code) => code === null || code === 'OUTCOME_UNKNOWN')) return;
        const text = `${topic}/${partition}@${offset} holds ${id}, which was refused with ${codes.join(', ')}`;
        violations.push({ invariant: 'I4', text, excerpt: evidence.storyOf(id) });
      });
    }
  }
  return violations;
}

const shutdownCodes = new Set([1001, 1012]);

function answeredBeforeTheClose(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const wires = new Set(evidence.plan.clients.filter(({ kind }) => kind === 'wire').map(({ name }) => name));
  const { network, steps } = evidence.plan;
  if (steps.some((step) => step.do === 'stall')) return [];
  const slowMs = Math.max(0, ...steps.map((step) => (step.do === 'slow-network' ? step.ms : 0)));
  const onTheWayMs = network.latencyMs[1] + slowMs;
  const closed = new Map(
    evidence
      .all('disconnected')
      .filter(({ event }) => shutdownCodes.has(event.code))
      .map((at) => [at.event.lane, at.index]),
  );
  for (const { index, event } of evidence.all('send')) {
    const close = closed.get(event.lane);
    if (!wires.has(event.client) || close === undefined || index > close) continue;
    const answer = evidence.answers.get(event.sending);
    if (answer !== undefined && answer.index < close) continue;
    const start = evidence
      .all('start')
      .filter((at) => at.index < close)
      .at(-1);
    const pressed = evidence
      .all('stop')
      .some(
        (at) =>
          at.event.broker === start?.event.broker && (at.event.mode !== 'graceful' || at.event.deadlineMs !== null),
      );
    const drain = evidence
      .all('phase')
      .find((at) => at.event.broker === start?.event.broker && at.event.phase === 'draining');
    if (pressed || drain === undefined || event.t + onTheWayMs > drain.event.t) continue;
    const text = `${event.ids.join(', ')} was not answered before ${event.lane} was closed for a shutdown`;
    violations.push({ invariant: 'I4', text, excerpt: evidence.excerpt([index, drain.index, close]) });
  }
  return violations;
}
