/** The log lines of a broker's life: one per phase and per child, with its duration. */
import type { Logger } from './logger.ts';
import type { ChildRecord } from './machines/report.ts';
import type { SupervisorContext } from './machines/supervisor-context.ts';

export function tellPhase(logger: Logger, context: SupervisorContext): void {
  const { phase, phases, reason, plan } = context;
  if (phase === 'starting' || phase === 'running') return;
  const done = phases[phases.length - 1];
  const before = done === undefined ? {} : { before: done.phase, beforeMs: Math.round(done.durationMs) };
  const leftMs = plan === null ? null : Math.round(plan.reportUntil - context.now());
  logger.info({ phase, reason, ...before, leftMs }, phase);
}

/** `since`: when it entered the state before, monotonic ms. */
export function tellChild(logger: Logger, child: ChildRecord, since: number): void {
  const { id, kind, state, detail } = child;
  if (state === 'starting') return;
  const durationMs = Math.round(child.since - since);
  const fields = { child: id, kind, state, durationMs, ...(detail === null ? {} : { detail }) };
  if (state === 'failed' || state === 'abandoned') logger.error(fields, `${id} ${state}`);
  else logger.info(fields, `${id} ${state}`);
}
