/** Why a broker did not start, from the report of its end. */
import { BrokerError } from './errors.ts';
import type { SupervisorReport } from './machines/report.ts';

/** The error of the child that kept the broker from starting. */
export function startError(report: SupervisorReport): BrokerError {
  const failed = report.children.filter(({ state }) => state === 'failed');
  const detail = failed.map(({ id, detail: why }) => `${id}: ${why}`).join('; ');
  const listening = failed.some(({ kind }) => kind === 'gateway' || kind === 'admin');
  return new BrokerError(listening ? 'LISTEN_FAILED' : 'LOG_READ_FAILED', detail === '' ? 'the start failed' : detail);
}
