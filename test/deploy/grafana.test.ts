/** The dashboard in `deploy/grafana` asks for metrics, labels and values that exist, and is one that Grafana takes. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { metricFamilies } from '../../src/broker-metrics.ts';

const panelShape = z.object({
  id: z.number(),
  type: z.enum(['row', 'timeseries', 'stat']),
  title: z.string().min(3),
  description: z.string().optional(),
  gridPos: z.object({ h: z.number(), w: z.number(), x: z.number(), y: z.number() }),
  targets: z.array(z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })).optional(),
});
const dashboard = z
  .object({
    uid: z.literal('sluice'),
    schemaVersion: z.number(),
    panels: z.array(panelShape),
    templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.string() })) }),
  })
  .parse(JSON.parse(readFileSync(resolve(import.meta.dirname, '../../deploy/grafana/sluice.json'), 'utf8')));

const familyOf = new Map(
  metricFamilies.flatMap((family) => {
    const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    return suffixes.map((suffix) => [`${family.name}${suffix}`, family] as const);
  }),
);
const shown = dashboard.panels.filter(({ type }) => type !== 'row');
const queries = shown.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const));
const added = ['job', 'instance', 'le'];

describe('deploy/grafana/sluice.json', () => {
  it('has panels that say what they show, each once and none over another', () => {
    expect(shown.length).toBeGreaterThan(20);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const panel of shown) {
      expect(panel.description?.endsWith('.'), panel.title).toBe(true);
      expect(panel.targets?.length, panel.title).toBeGreaterThan(0);
      expect(panel.gridPos.x + panel.gridPos.w, panel.title).toBeLessThanOrEqual(24);
      for (const other of shown) {
        if (other.id <= panel.id) continue;
        const [a, b] = [panel.gridPos, other.gridPos];
        const over = a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
        expect(over, `${panel.title} over ${other.title}`).toBe(false);
      }
    }
  });

  it.each(queries)('%s: %s', (_, expr) => {
    const selectors = [...expr.matchAll(/\b((?:sluice|process)_\w+)\{([^}]*)\}/g)];
    expect(selectors.length).toBeGreaterThan(0);
    // Every metric has a selector: one without would mix the instances of everybody.
    expect([...expr.matchAll(/\b(?:sluice|process)_\w+/g)].length).toBe(selectors.length);
    for (const [, name = '', inner = ''] of selectors) {
      const family = familyOf.get(name);
      expect(family, name).toBeDefined();
      const labels = [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label);
      expect(labels).toEqual(expect.arrayContaining(['job', 'instance']));
      for (const label of labels) expect([...(family?.labels ?? []), ...added], `${name}{${label}}`).toContain(label);
      const rated = new RegExp(`rate\\(${name}\\{`).test(expr);
      expect(rated, `${name} in ${expr}`).toBe(family?.type !== 'gauge');
    }
    for (const [, by = ''] of expr.matchAll(/by \(([^)]*)\)/g)) {
      const known = [...selectors.flatMap(([, name = '']) => familyOf.get(name)?.labels ?? []), ...added];
      for (const label of by.split(',')) expect(known).toContain(label.trim());
    }
    expect(expr.split('(').length).toBe(expr.split(')').length);
  });

  it('asks for the consumer groups, each metric of theirs', () => {
    const asked = queries.map(([, expr]) => expr).join('\n');
    for (const { name } of metricFamilies.filter(({ name }) => name.startsWith('sluice_group'))) {
      expect(asked).toContain(`${name}{`);
    }
  });
});
