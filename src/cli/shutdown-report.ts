/**
 * The report of a shutdown as `sluice stop --wait` shows it. Read leniently, field by field: the broker may be of
 * another version than this command.
 */
import type { JsonObject } from './admin.ts';
import { countText, roughMs, tableText } from './table.ts';

/** The exit code that the broker ended with by its own report; null where it says none. */
export function reportedExit(report: JsonObject): number | null {
  const code = report['exitCode'];
  return typeof code === 'number' && Number.isInteger(code) && code >= 0 && code <= 255 ? code : null;
}

/** The report within an answer of `/shutdown`, or a `last-shutdown.json` as it stands; null where there is none yet. */
export function reportOf(answer: JsonObject): JsonObject | null {
  const report = answer['report'];
  if (typeof report === 'object' && report !== null && !Array.isArray(report)) return report as JsonObject;
  return typeof answer['outcome'] === 'string' && reportedExit(answer) !== null ? answer : null;
}

/** `sluice stopped: clean, exit code 0, in 1.2 s`, what was lost, then each phase and what did not end well. */
export function reportText(report: JsonObject): string {
  const lines: string[] = [];
  const duration = numberOf(report['durationMs']);
  const took = duration === null ? '' : `, in ${roughMs(duration)}`;
  lines.push(
    `sluice stopped: ${String(report['outcome'] ?? 'outcome unknown')}, exit code ${reportedExit(report) ?? 'unknown'}${took}`,
  );
  for (const [name, what] of [
    ['lost', 'acknowledged records lost'],
    ['unknown', 'records of unknown outcome'],
  ] as const) {
    const count = numberOf(report[name]);
    if (count !== null && count > 0) lines.push(`${countText(count)} ${what}`);
  }
  const phases = objectsOf(report['phases']);
  if (phases.length > 0) {
    const rows = phases.map((phase) => [
      String(phase['phase'] ?? phase['name'] ?? '?'),
      durationOf(phase['durationMs']),
      durationOf(phase['budgetMs']),
    ]);
    lines.push(tableText(['phase', 'took', 'of at most'], rows).trimEnd());
  }
  for (const child of [...objectsOf(report['children']), ...objectsOf(report['shards'])]) {
    const outcome = String(child['outcome'] ?? child['state'] ?? '');
    if (!/^(failed|abandoned)$/.test(outcome)) continue;
    const why = child['detail'] ?? child['error'] ?? child['operation'] ?? null;
    lines.push(`${String(child['id'] ?? '?')}: ${outcome}${why === null ? '' : `: ${plain(why)}`}`);
  }
  const unaccounted = report['unaccounted'];
  if (Array.isArray(unaccounted) && unaccounted.length > 0)
    lines.push(`never reported: ${unaccounted.map(plain).join(', ')}`);
  return `${lines.join('\n')}\n`;
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function durationOf(value: unknown): string {
  const ms = numberOf(value);
  return ms === null ? '-' : roughMs(ms);
}

function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : [];
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
