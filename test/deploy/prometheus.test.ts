/** The alert rules and the scrape configuration in `deploy/` speak of metrics, labels and values that exist. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { metricFamilies } from '../../src/broker-metrics.ts';
import { configSchema } from '../../src/config.ts';
import { errorTable } from '../../src/errors.ts';
import { Rig } from '../broker/rig.ts';
import { MetricsText } from '../support/metrics-text.ts';

const folder = resolve(import.meta.dirname, '../../deploy/prometheus');
const read = (name: string): unknown => parse(readFileSync(join(folder, name), 'utf8'));

const rule = z.strictObject({
  alert: z.string().regex(/^Sluice[A-Z][A-Za-z]+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+[smh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string() }),
});
const rules = z
  .strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) })
  .parse(read('alerts.yaml'))
  .groups.flatMap((group) => group.rules);

/** By every name that a query may use, with the suffixes of histograms. */
const familyOf = new Map(
  metricFamilies.flatMap((family) => {
    const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    return suffixes.map((suffix) => [`${family.name}${suffix}`, family] as const);
  }),
);
/** What Prometheus adds to every series. */
const targetLabels = ['job', 'instance'];

let text: MetricsText;
let rig: Rig;
beforeAll(async () => {
  // With the admin endpoint: it is what measures the event loop.
  rig = await Rig.start({}, { admin: true });
  text = MetricsText.parse(await rig.broker.metrics());
});
afterAll(async () => {
  await rig.stop();
});

interface Selector {
  readonly name: string;
  readonly matchers: readonly { readonly label: string; readonly values: readonly string[] }[];
}

function selectorsOf(expr: string): Selector[] {
  const found = expr.matchAll(/\b((?:sluice|process)_\w+)(?:\{([^}]*)\})?/g);
  return [...found].map(([, name = '', inner = '']) => ({
    name,
    matchers: [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g)].map(([, label = '', value = '']) => ({
      label,
      values: value.split('|'),
    })),
  }));
}

function valuesOf(name: string, label: string): string[] {
  if (label === 'code') return Object.keys(errorTable);
  return text.family(familyOf.get(name)?.name ?? name).samples.flatMap(({ labels }) => labels[label] ?? []);
}

describe('deploy/prometheus/alerts.yaml', () => {
  it('has an alert for everything that an operator must not miss', () => {
    const names = rules.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
    const asked = 'Down NotReady ShardFailed ShutdownStalled LastShutdownNotClean DiskNearlyFull EventLoopDelayed';
    for (const name of asked.split(' ')) expect(names).toContain(`Sluice${name}`);
  });

  it.each(rules.map((one) => [one.alert, one] as const))('%s asks for what there is', (_, { expr, annotations }) => {
    const selectors = selectorsOf(expr);
    expect(selectors.length + (expr.startsWith('up{') ? 1 : 0)).toBeGreaterThan(0);
    const labels = new Set(targetLabels);
    for (const { name, matchers } of selectors) {
      const family = familyOf.get(name);
      expect(family, name).toBeDefined();
      for (const label of family?.labels ?? []) labels.add(label);
      for (const { label, values } of matchers) {
        expect(family?.labels, `${name}{${label}}`).toContain(label);
        for (const value of values) expect(valuesOf(name, label), `${name}{${label}="${value}"}`).toContain(value);
      }
    }
    const grouped = [...expr.matchAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map((label) => label.trim()),
    );
    for (const label of grouped) expect([...labels, 'le']).toContain(label);
    const said = `${annotations.summary} ${annotations.description}`;
    for (const [, label] of said.matchAll(/\$labels\.(\w+)/g)) expect([...labels]).toContain(label);
    // What an aggregation drops can't be told.
    const by = /\bby\s*\(([^)]*)\)/
      .exec(expr)?.[1]
      ?.split(',')
      .map((label) => label.trim());
    if (by !== undefined) for (const [, label] of said.matchAll(/\$labels\.(\w+)/g)) expect(by).toContain(label);
  });

  it.each(rules.map(({ alert, expr }) => [alert, expr] as const))('%s takes rates of counters alone', (_, expr) => {
    for (const [, name = ''] of expr.matchAll(/\b(?:rate|increase)\((\w+)/g)) {
      expect(['counter', 'histogram']).toContain(familyOf.get(name)?.type);
    }
    for (const { name } of selectorsOf(expr)) {
      if (familyOf.get(name)?.type !== 'gauge') expect(expr).toMatch(new RegExp(`(rate|increase)\\(${name}`));
    }
  });
});

describe('deploy/prometheus/prometheus.yaml', () => {
  it('scrapes the admin endpoint where a broker has it by default, under the job that the rules name', () => {
    const config = z
      .object({
        rule_files: z.tuple([z.literal('alerts.yaml')]),
        scrape_configs: z.tuple([
          z.object({
            job_name: z.string(),
            metrics_path: z.string(),
            static_configs: z.tuple([z.object({ targets: z.tuple([z.string()]) })]),
          }),
        ]),
      })
      .parse(read('prometheus.yaml'));
    const { adminHost, adminPort } = configSchema.parse({});
    const [{ job_name: job, metrics_path: path, static_configs: targets }] = config.scrape_configs;
    expect([path, targets[0].targets[0]]).toEqual(['/metrics', `${adminHost}:${adminPort}`]);
    expect(rules.find(({ alert }) => alert === 'SluiceDown')?.expr).toContain(`{job="${job}"}`);
  });
});
