/**
 * A strict reader of Prometheus text (exposition format 0.0.4): whatever Prometheus would refuse or take for something
 * else is an error here, and so is what it would forgive: a sample outside its family, a series that comes twice, a
 * histogram that does not add up.
 */

export type MetricType = 'gauge' | 'counter' | 'histogram';

export interface MetricSample {
  /** With `_bucket`, `_sum` or `_count` for those of a histogram. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly samples: readonly MetricSample[];
}

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const numberPattern = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)$/;

export class MetricsText {
  readonly families: ReadonlyMap<string, Family>;

  private constructor(families: ReadonlyMap<string, Family>) {
    this.families = families;
  }

  /** Throws at the first line that is not as it should be. */
  static parse(text: string): MetricsText {
    if (!text.endsWith('\n')) throw new Error('the last line has no end');
    const families = new Map<string, Family>();
    let open: (Family & { samples: MetricSample[] }) | null = null;
    let help: { name: string; text: string } | null = null;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
      const [, kind, name = '', rest = ''] = comment ?? [];
      if (kind === 'HELP') {
        if (families.has(name) || !namePattern.test(name)) throw new Error(`not a new metric: ${line}`);
        help = { name, text: rest };
      } else if (kind === 'TYPE') {
        if (help?.name !== name) throw new Error(`TYPE without its HELP before: ${line}`);
        open = { name, help: help.text, type: typeOf(rest, line), samples: [] };
        families.set(name, open);
        help = null;
      } else {
        if (open === null || help !== null) throw new Error(`a sample outside a family: ${line}`);
        open.samples.push(sampleOf(line, open));
      }
    }
    for (const family of families.values()) checkFamily(family);
    return new MetricsText(families);
  }

  get names(): string[] {
    return [...this.families.keys()];
  }

  family(name: string): Family {
    const family = this.families.get(name);
    if (family === undefined) throw new Error(`there is no metric ${name}`);
    return family;
  }

  /** Of the one sample with these labels (more are allowed); null where there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | null {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    const family = this.families.get(name) ?? this.family(base);
    const found = family.samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
    if (found.length > 1) throw new Error(`${name} ${JSON.stringify(labels)} is not one sample`);
    return found[0]?.value ?? null;
  }

  /** Over all samples of a metric. */
  sum(name: string): number {
    const base = this.families.get(name) ?? this.family(name.replace(/_(bucket|sum|count)$/, ''));
    return base.samples.filter((sample) => sample.name === name).reduce((sum, { value }) => sum + value, 0);
  }

  /** The value of `label` whose sample is 1, of a metric that has one such. */
  oneOf(name: string, label: string, labels: Readonly<Record<string, string>> = {}): string | null {
    const on = this.family(name).samples.filter(
      (sample) => sample.value === 1 && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
    if (on.length > 1) throw new Error(`${name} is 1 more than once`);
    return on[0]?.labels[label] ?? null;
  }
}

function typeOf(text: string, line: string): MetricType {
  if (text === 'gauge' || text === 'counter' || text === 'histogram') return text;
  throw new Error(`an unknown type: ${line}`);
}

function sampleOf(line: string, family: Family): MetricSample {
  const match = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  const [, name = '', labelText, number = ''] = match ?? [];
  if (match === null || !namePattern.test(name)) throw new Error(`not a sample: ${line}`);
  const suffix = name.slice(family.name.length);
  const allowed = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  if (!name.startsWith(family.name) || !allowed.includes(suffix)) throw new Error(`not of ${family.name}: ${line}`);
  if (!numberPattern.test(number)) throw new Error(`not a number: ${line}`);
  return { name, labels: labelsOf(labelText, line), value: numberOf(number) };
}

function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

function labelsOf(text: string | undefined, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  if (text === undefined) return labels;
  let at = 0;
  while (at < text.length) {
    labelPattern.lastIndex = at;
    const match = labelPattern.exec(text);
    const [whole = '', name = '', value = ''] = match ?? [];
    if (match === null || name in labels || name.startsWith('__')) throw new Error(`labels do not read: ${line}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    at += whole.length;
  }
  if (at === 0) throw new Error(`empty braces: ${line}`);
  return labels;
}

function checkFamily(family: Family): void {
  const seen = new Set<string>();
  for (const { name, labels, value } of family.samples) {
    const series = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
    if (seen.has(series)) throw new Error(`twice: ${series}`);
    seen.add(series);
    if (family.type !== 'gauge' && !(value >= 0)) throw new Error(`below zero: ${series} ${value}`);
  }
  if (family.type === 'histogram') checkHistogram(family);
}

/** Buckets that grow, end with +Inf, and agree with the count; a sum for each. */
function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, MetricSample[]>();
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels;
    const key = JSON.stringify(others);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => numberOf(labels['le'] ?? 'NaN'));
    const counts = buckets.map(({ value }) => value);
    const rises = (values: readonly number[], step: (a: number, b: number) => boolean): boolean =>
      values.every((value, at) => at === 0 || step(values[at - 1] ?? Number.NaN, value));
    const count = group.filter((sample) => sample.name === `${name}_count`).map(({ value }) => value);
    const sums = group.filter((sample) => sample.name === `${name}_sum`);
    const whole =
      rises(bounds, (a, b) => a < b) &&
      rises(counts, (a, b) => a <= b) &&
      bounds.at(-1) === Number.POSITIVE_INFINITY &&
      count.length === 1 &&
      counts.at(-1) === count[0] &&
      sums.length === 1;
    if (!whole) throw new Error(`${name} ${key} does not add up`);
  }
}
