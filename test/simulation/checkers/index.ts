/** Every checker, over one history. Pure: they know what happened, and nothing of the code that did it. */
import type { HistoryEvent } from '../history.ts';
import { checkAcks } from './acks.ts';
import { checkAnswers, checkBarrier } from './barrier.ts';
import { checkBounds } from './bounds.ts';
import { checkCredit, checkDrainedDeliveries } from './deliveries.ts';
import { checkDeadline, checkReleases, checkReports } from './ends.ts';
import { Evidence, type PlanFacts } from './evidence.ts';
import { checkGroups } from './groups.ts';
import { checkKept } from './kept.ts';
import { checkLastAccepted, checkSilence } from './last-words.ts';
import { checkErrors, checkLiveness } from './liveness.ts';
import { checkLosses } from './losses.ts';
import { checkMarks } from './marks.ts';
import { checkOnce } from './once.ts';
import { checkDense, checkOrder } from './order.ts';
import { checkPositions } from './positions.ts';
import { checkPublished } from './published.ts';
import type { Violation } from './violation.ts';

export type { Invariant, Violation } from './violation.ts';

const checkers: readonly ((evidence: Evidence) => Violation[])[] = [
  checkErrors,
  checkKept,
  checkPublished,
  checkOrder,
  checkDense,
  checkPositions,
  checkOnce,
  checkAcks,
  checkBarrier,
  checkAnswers,
  checkCredit,
  checkDrainedDeliveries,
  checkMarks,
  checkLosses,
  checkLastAccepted,
  checkSilence,
  checkReleases,
  checkBounds,
  checkDeadline,
  checkReports,
  checkLiveness,
  checkGroups,
];

export function check(history: readonly HistoryEvent[], plan: PlanFacts): Violation[] {
  const evidence = new Evidence(history, plan);
  return checkers.flatMap((checker) => checker(evidence));
}
