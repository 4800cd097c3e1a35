/**
 * The chart of a machine as plain JSON: its states, and every edge with its number. Read once per machine object and
 * kept as long as that lives; the hash is that of the definition, so that machines that differ in their effects alone
 * share one chart. Called by the hub.
 */
import { createHash } from 'node:crypto';
import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate';
import type { ChartDefinition, ChartEdge, ChartState, StateValue } from './frames.ts';
import { shortText } from './summary.ts';

/** Largest chart that is shown whole; states and edges beyond are left out. */
const STATES_MAX = 2000;
const EDGES_MAX = 5000;

export interface Chart {
  readonly hash: string;
  readonly definition: ChartDefinition;
  /** The machine's own configuration as JSON text, functions named; for viewers that speak XState's own format. */
  readonly config: string;
  /** Numbers of the edges that these transitions are; those that the definition does not have are left out. */
  edgesOf(transitions: readonly AnyTransitionDefinition[]): readonly number[];
}

const charts = new WeakMap<object, Chart>();

/** The chart of a machine; null for logic that has none. */
export function chartOf(logic: unknown): Chart | null {
  if (!isMachine(logic)) return null;
  const known = charts.get(logic);
  if (known !== undefined) return known;
  const chart = readChart(logic);
  charts.set(logic, chart);
  return chart;
}

function isMachine(logic: unknown): logic is AnyStateMachine {
  if (typeof logic !== 'object' || logic === null) return false;
  const { root, config } = logic as { readonly root?: unknown; readonly config?: unknown };
  return typeof root === 'object' && root !== null && 'states' in root && typeof config === 'object';
}

function readChart(machine: AnyStateMachine): Chart {
  const edges: ChartEdge[] = [];
  const numbers = new Map<unknown, number>();
  const count = { states: 0 };
  const root = readState(machine.root, edges, numbers, count);
  const definition: ChartDefinition = { id: shortText(machine.id), root, edges };
  const hash = createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 16);
  return {
    hash,
    definition,
    config: configText(machine),
    edgesOf: (transitions) => transitions.flatMap((transition) => numbers.get(transition) ?? []),
  };
}

function readState(
  node: AnyStateNode,
  edges: ChartEdge[],
  numbers: Map<unknown, number>,
  count: { states: number },
): ChartState {
  count.states += 1;
  for (const transition of outgoing(node)) {
    if (edges.length >= EDGES_MAX) break;
    numbers.set(transition, edges.length);
    edges.push(readEdge(node, transition));
  }
  const initial: string | undefined = node.initial?.target?.[0]?.key;
  const description: unknown = node.description;
  const states: ChartState[] = [];
  for (const child of Object.values<AnyStateNode>(node.states)) {
    if (count.states >= STATES_MAX) break;
    states.push(readState(child, edges, numbers, count));
  }
  return {
    path: pathOf(node),
    key: shortText(node.key),
    type: node.type,
    ...(node.type === 'compound' && initial !== undefined ? { initial: shortText(initial) } : {}),
    ...(typeof description === 'string' ? { description: shortText(description) } : {}),
    tags: [...node.tags].map((tag) => shortText(String(tag))),
    entry: actionNames(node.entry),
    exit: actionNames(node.exit),
    invoke: node.invoke.map(({ id, src }) => ({ id: shortText(id), src: nameOf(src, 'actor') })),
    states,
  };
}

function outgoing(node: AnyStateNode): AnyTransitionDefinition[] {
  return [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
}

function readEdge(node: AnyStateNode, transition: AnyTransitionDefinition): ChartEdge {
  const { eventType, guard, target } = transition;
  const first = target?.[0] as AnyStateNode | undefined;
  const delay = delayOf(String(eventType), node);
  return {
    source: pathOf(node),
    target: first === undefined ? null : pathOf(first),
    event: shortText(String(eventType ?? '')),
    ...(guard === undefined ? {} : { guard: nameOf(guard, 'guard') }),
    ...(delay === null ? {} : { delay }),
    actions: actionNames(transition.actions),
  };
}

/** Of `xstate.after.<delay>.<state id>`. */
function delayOf(eventType: string, node: AnyStateNode): string | null {
  const prefix = 'xstate.after.';
  if (!eventType.startsWith(prefix)) return null;
  const end = eventType.endsWith(`.${node.id}`) ? -(node.id.length + 1) : undefined;
  return shortText(eventType.slice(prefix.length, end));
}

/** `assign` and the like name themselves; they are XState's own and say nothing of the machine. */
function actionNames(actions: readonly unknown[]): string[] {
  return actions.map((action) => nameOf(action, 'action')).filter((name) => !name.startsWith('xstate.'));
}

function nameOf(part: unknown, otherwise: string): string {
  if (typeof part === 'string') return shortText(part);
  if (typeof part !== 'object' && typeof part !== 'function') return otherwise;
  const { type, name } = (part ?? {}) as { readonly type?: unknown; readonly name?: unknown };
  if (typeof type === 'string') return shortText(type);
  return typeof name === 'string' && name !== '' ? shortText(name) : otherwise;
}

function pathOf(node: AnyStateNode): string {
  return node.path.map(shortText).join('.');
}

/** The state as the definition names it. */
export function shownValue(value: unknown): StateValue | null {
  if (typeof value === 'string') return shortText(value);
  if (typeof value !== 'object' || value === null) return null;
  const shown = Object.entries(value).map(([region, inner]) => [shortText(region), shownValue(inner) ?? {}]);
  return Object.fromEntries(shown) as StateValue;
}

function configText(machine: AnyStateMachine): string {
  try {
    const text = JSON.stringify(machine.config, (_, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      return typeof value === 'function' ? { type: nameOf(value, 'inline') } : value;
    });
    return text ?? JSON.stringify({ id: machine.id });
  } catch {
    // A configuration that refers to itself has no JSON: its name stands for it.
    return JSON.stringify({ id: machine.id });
  }
}
