/** Pictures of charts: what is in them, and what a name can't do to them. */
import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, setup } from 'xstate';
import { chartOf } from '../../src/inspection/chart.ts';
import type { ChartDefinition } from '../../src/inspection/frames.ts';
import { drawPicture } from '../../src/inspection/picture.ts';
import * as machines from '../../src/machines/index.ts';

function definitionOf(machine: AnyStateMachine): ChartDefinition {
  const chart = chartOf(machine);
  if (chart === null) throw new Error('no chart');
  return chart.definition;
}

const known: readonly AnyStateMachine[] = [
  machines.supervisorMachine,
  machines.shardMachine,
  machines.gatewayMachine,
  machines.adminMachine,
  machines.sessionMachine,
];

describe('the picture of a chart', () => {
  it.each(known.map((machine) => [machine.id, machine] as const))(
    'marks every state of %s, and every edge that leads elsewhere',
    async (_, machine) => {
      const definition = definitionOf(machine);
      const svg = await drawPicture(definition);
      const states = [...svg.matchAll(/data-state="([^"]*)"/g)].map(([, path]) => path);
      expect([...states].sort()).toEqual(pathsBelow(definition.root).sort());
      const edges = [...svg.matchAll(/data-edge="([^"]*)"/g)].flatMap(([, numbers]) =>
        (numbers ?? '').split(' ').map(Number),
      );
      const leading = definition.edges.flatMap(({ source, target }, number) =>
        target === null || target === source ? [] : [number],
      );
      expect([...new Set(edges)].sort((a, b) => a - b)).toEqual(leading);
    },
  );

  it('has no colour, script, style or link of its own', async () => {
    const svg = await drawPicture(definitionOf(machines.shardMachine));
    expect(svg).not.toMatch(/(fill|stroke)="(?!none)|style=|<style|<script|href|font-family|<!--|<\?/);
    expect(svg.startsWith('<svg')).toBe(true);
  });

  it.each([
    '<script>alert(1)</script>',
    '"; } evil [label="x"]',
    '\\N \\l \\"',
    '&amp; &#60;b&#62;',
    '<b>bold</b>',
    'ends in \ud83d',
    '\u0000\u0007\u001b[31m',
    'x'.repeat(64 * 1024),
    '{record|like}',
    'constructor',
    '__proto__',
  ])('takes %.30j as a name like any other', async (name) => {
    const machine = setup({}).createMachine({
      id: name,
      initial: 'a',
      states: {
        a: { on: { [name]: 'b' }, entry: name, tags: name },
        b: { initial: 'c', states: { c: { type: 'final' } } },
        [`${name}!`]: {},
      },
    } as never) as unknown as AnyStateMachine;
    const svg = await drawPicture(definitionOf(machine));
    expect(svg.match(/data-state=/g)?.length).toBe(4);
    expect(svg).not.toMatch(/<script|<b>|onerror=/);
    expect(svg.length).toBeLessThan(20_000);
    // Well-formed: a stack of elements that comes out even.
    expect(unclosed(svg)).toEqual([]);
  });

  it('shows what looks like a character reference as it is written', async () => {
    const machine = setup({}).createMachine({ initial: 'a', states: { a: { on: { 'is &lt; it': 'b' } }, b: {} } });
    const svg = await drawPicture(definitionOf(machine));
    expect(svg).toContain('is \uff06lt; it');
  });

  it('is empty for a chart without states, and for one that nobody could read', async () => {
    expect(await drawPicture(definitionOf(setup({}).createMachine({})))).toBe('');
    const states = Object.fromEntries(Array.from({ length: 400 }, (_, number) => [`s${number}`, {}]));
    expect(await drawPicture(definitionOf(setup({}).createMachine({ initial: 's0', states })))).toBe('');
  });
});

describe('the chart of a machine', () => {
  it('is the same for machines that differ in their effects alone, and another where the states differ', () => {
    const machine = setup({ actions: { act: () => {} } }).createMachine({
      initial: 'a',
      states: { a: { entry: 'act' } },
    });
    const other = setup({}).createMachine({ initial: 'b', states: { b: {} } });
    expect(chartOf(machine.provide({ actions: { act: () => {} } }))?.hash).toBe(chartOf(machine)?.hash);
    expect(chartOf(other)?.hash).not.toBe(chartOf(machine)?.hash);
  });

  it('is null for what is no machine', () => {
    for (const logic of [null, undefined, 1, {}, { root: {} }, () => {}]) expect(chartOf(logic)).toBeNull();
  });
});

function pathsBelow(state: ChartDefinition['root']): string[] {
  return state.states.flatMap((child) => [child.path, ...pathsBelow(child)]);
}

function unclosed(svg: string): string[] {
  const open: string[] = [];
  for (const [, end, name = '', selfClosed] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (selfClosed === '/') continue;
    if (end === '') open.push(name);
    else if (open.pop() !== name) return [`</${name}> closes nothing`];
  }
  return open;
}
