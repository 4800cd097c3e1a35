/** The pictures in `docs/charts/` are those of the machines as they are. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AnyStateMachine, setup } from 'xstate';
import { chartOf, drawChart } from '../../scripts/chart-drawing.mjs';
import {
  adminMachine,
  gatewayMachine,
  groupMachine,
  sessionMachine,
  shardMachine,
  supervisedMachine,
  supervisorMachine,
} from '../../src/machines/index.ts';

const folder = resolve(import.meta.dirname, '../../docs/charts');
const machines: readonly AnyStateMachine[] = [
  supervisorMachine,
  shardMachine,
  gatewayMachine,
  adminMachine,
  groupMachine,
  sessionMachine,
  supervisedMachine,
];

interface Node {
  readonly key: string;
  readonly states: Readonly<Record<string, Node>>;
}

function keysWithin(node: Node): string[] {
  return [node.key, ...Object.values(node.states).flatMap(keysWithin)];
}

describe('the drawn charts', () => {
  it.each(machines.map((machine) => [machine.id, machine] as const))('shows %s as it is', async (name, machine) => {
    const kept = readFileSync(join(folder, `${name}.svg`), 'utf8');
    const drawn = await drawChart(machine);
    expect(kept === drawn, 'differs: run `npm run build && node scripts/draw-charts.mjs`').toBe(true);
  });

  it.each(machines.map((machine) => [machine.id, machine] as const))('names every state of %s', (name, machine) => {
    const svg = readFileSync(join(folder, `${name}.svg`), 'utf8');
    const keys = Object.values(machine.root.states).flatMap(keysWithin);
    expect(keys.length).toBeGreaterThan(4);
    for (const key of keys) expect(svg).toContain(`>${key}</text>`);
  });

  it('draws events, guards, delays and failures, and no bookkeeping', () => {
    const machine = setup({
      types: {} as { events: { type: 'go' } | { type: 'stop' } },
      actions: { tell: () => {} },
      guards: { ready: () => true },
      delays: { patience: 5 },
    }).createMachine({
      id: 'small',
      initial: 'here',
      on: { stop: '.there' },
      states: {
        here: {
          entry: 'tell',
          on: { go: { guard: 'ready', target: 'there' } },
          after: { patience: 'there' },
        },
        there: { type: 'final' },
      },
    });
    const { states, transitions } = chartOf(machine);
    const air = '\u200b\u00a0\u00a0';
    expect(states.map(({ name }) => name)).toEqual(['small.initial', 'small.here', 'small.there', 'any state']);
    expect(states[1]?.actions).toEqual([{ type: 'entry', body: 'tell' }]);
    expect(transitions?.map(({ from, to, label }) => [from, to, label])).toEqual([
      ['small.initial', 'small.here', undefined],
      ['small.here', 'small.there', `${air}go [ready]${air}\n${air}after patience${air}`],
      ['any state', 'small.there', `${air}stop${air}`],
    ]);
  });

  it('draws a changed machine differently', async () => {
    const before = setup({}).createMachine({ id: 'm', initial: 'a', states: { a: { on: { go: 'b' } }, b: {} } });
    const after = setup({}).createMachine({ id: 'm', initial: 'a', states: { a: { on: { went: 'b' } }, b: {} } });
    expect(await drawChart(before)).toBe(await drawChart(before));
    expect(await drawChart(before)).not.toBe(await drawChart(after));
  });
});
