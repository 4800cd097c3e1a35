/**
 * Turns an XState machine into a picture: walks its definition, hands states and transitions to state-machine-cat, and
 * puts the SVG that comes back in order. Used by `draw-charts.mjs`, and by the test that holds the pictures equal to the
 * machines.
 *
 * What is drawn: states and those within them, the actors that they run, entry and exit actions that reach outside, and
 * every transition that leads somewhere, with its event, guard or delay. What is not: bookkeeping (`assign`), and events
 * that a state takes without leaving.
 */
import { render } from 'state-machine-cat';

/** Stands for every state that has no answer of its own: where the transitions of the whole machine begin. */
const ANYWHERE = 'any state';
/** From so many on, failures that lead to one state are gathered. */
const GATHERED_MIN = 3;
/** Beside a label, so that it does not touch its arrow. Begins with no space of any kind: those are trimmed. */
const AIR = '\u200b\u00a0\u00a0';
/** Longest line of a label, characters. */
const COLUMNS = 34;

export async function drawChart(machine) {
  const svg = await render(chartOf(machine), {
    inputType: 'json',
    outputType: 'svg',
    direction: 'top-down',
    noDotNativeWarning: true,
    dotGraphAttrs: [
      { name: 'nodesep', value: '0.5' },
      { name: 'ranksep', value: '0.45' },
      { name: 'bgcolor', value: 'white' },
    ],
  });
  // What a reader hears who doesn't see the picture.
  return `${svg.trimEnd().replace(/<svg [^>]*>/, (opening) => `${opening}\n<title>The chart of the ${machine.id}</title>`)}\n`;
}

export function chartOf(machine) {
  const ids = { next: 1 };
  const { root } = machine;
  const { states, transitions } = machineOf(root, machine, ids);
  const own = transitionsOf(root, ids).map((transition) => ({ ...transition, from: ANYWHERE }));
  const lines = merged(gathered([...transitions, ...own], ids));
  if (lines.some(({ from }) => from === ANYWHERE)) {
    states.push({ name: ANYWHERE, type: 'regular', typeExplicitlySet: true, color: '#777777' });
  }
  return { states, transitions: lines };
}

/** Failures of many steps that lead to one state are one line to it, which names the steps. */
function gathered(transitions, ids) {
  const lines = [];
  const failures = new Map();
  for (const transition of transitions) {
    if (transition.failed === undefined || transition.guarded) lines.push(transition);
    else failures.set(transition.to, [...(failures.get(transition.to) ?? []), transition]);
  }
  for (const [to, several] of failures) {
    const steps = [...new Set(several.map(({ failed }) => failed))];
    if (steps.length < GATHERED_MIN) lines.push(...several);
    else lines.push({ id: take(ids), from: ANYWHERE, to, label: `failed: ${steps.join(', ')}` });
  }
  return lines.map(({ failed, guarded, ...transition }) => transition);
}

/** The states within a node, and all transitions from them. */
function machineOf(node, machine, ids) {
  const states = [];
  const transitions = [];
  const initial = node.initial?.target?.[0];
  if (initial !== undefined) {
    const name = `${node.id}.initial`;
    states.push({ name, type: 'initial', typeExplicitlySet: true });
    transitions.push({ id: take(ids), from: name, to: initial.id });
  }
  for (const child of Object.values(node.states)) {
    states.push(stateOf(child, machine, ids, transitions));
    transitions.push(...transitionsOf(child, ids));
  }
  return { states, transitions };
}

function stateOf(node, machine, ids, transitions) {
  const actions = [
    ...node.invoke.map(({ src }) => ({ type: 'activity', body: `do: ${nameOf(src)}` })),
    ...node.entry
      .filter((action) => reachesOut(action, machine))
      .map((action) => ({ type: 'entry', body: told(action) })),
    ...node.exit
      .filter((action) => reachesOut(action, machine))
      .map((action) => ({ type: 'exit', body: told(action) })),
    // A loop around a state with others in it is not drawn well.
    ...outgoing(node)
      .filter(({ target, reenter }) => target?.[0] === node && reenter)
      .map((transition) => ({ type: 'activity', body: `${labelOf(transition, node)}: enter again` })),
  ];
  const state = {
    name: node.id,
    label: node.key,
    type: 'regular',
    typeExplicitlySet: true,
    ...(actions.length === 0 ? {} : { actions }),
    ...(node.type === 'final' ? { color: '#005f9e', class: 'final' } : {}),
  };
  if (Object.keys(node.states).length === 0) return state;
  const inner = machineOf(node, machine, ids);
  // Kept at the top: a transition may lead out of the state it begins in.
  transitions.push(...inner.transitions);
  return { ...state, statemachine: { states: inner.states } };
}

function outgoing(node) {
  return [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
}

function transitionsOf(node, ids) {
  return outgoing(node).flatMap((transition) =>
    (transition.target ?? [])
      .filter((target) => target !== node)
      .map((target) => ({
        id: take(ids),
        from: node.id,
        to: target.id,
        label: labelOf(transition, node),
        failed: failedActor(transition.eventType, node),
        guarded: transition.guard !== undefined,
      })),
  );
}

/** The actor whose failure the event tells; undefined for any other event. */
function failedActor(type, node) {
  const id = /^xstate\.error\.actor\.(.+)$/.exec(type ?? '')?.[1];
  return id === undefined ? undefined : nameOf(node.invoke.find((actor) => actor.id === id)?.src);
}

/** Transitions between the same two states are one line with several words, in the order of their precedence. */
function merged(transitions) {
  const lines = new Map();
  for (const transition of transitions) {
    const key = `${transition.from} → ${transition.to}`;
    const line = lines.get(key);
    if (line === undefined) lines.set(key, { ...transition });
    else line.label = [line.label, transition.label].filter(Boolean).join('\n');
  }
  return [...lines.values()].map((line) => (line.label === undefined ? line : { ...line, label: framed(line.label) }));
}

/** Broken into lines that are not too long, with some air towards the arrow that they stand beside. */
function framed(label) {
  return label
    .split('\n')
    .flatMap((line) => wrapped(line))
    .map((line) => `${AIR}${line}${AIR}`)
    .join('\n');
}

function wrapped(text) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

function labelOf({ eventType, guard }, node) {
  const words = [eventOf(eventType, node), guard === undefined ? '' : `[${guardOf(guard)}]`];
  return words.filter((word) => word !== '').join(' ');
}

function eventOf(type, node) {
  if (type === undefined || type === '') return '';
  const after = /^xstate\.after\.(.+)$/.exec(type);
  if (after !== null) {
    const delay = after[1].slice(0, -`.${node.id}`.length);
    return delay === '0' ? 'at once' : `after ${delay}`;
  }
  const ended = /^xstate\.(done|error)\.actor\.(.+)$/.exec(type);
  if (ended === null) return type;
  const src = node.invoke.find(({ id }) => id === ended[2])?.src;
  return `${nameOf(src)} ${ended[1] === 'done' ? 'done' : 'failed'}`;
}

function guardOf(guard) {
  return typeof guard === 'string' ? guard : (guard.type ?? '…');
}

function nameOf(src) {
  return typeof src === 'string' ? src : 'actor';
}

/** An `assign` changes the machine's own memory, and its timers are drawn as delays: nobody outside sees either. */
function reachesOut(action, machine) {
  const type = typeof action === 'string' ? action : action.type;
  if (type.startsWith('xstate.')) return false;
  return machine.implementations.actions[type]?.type !== 'xstate.assign';
}

/** An action and the word that it carries, where the chart says it outright. */
function told(action) {
  if (typeof action === 'string') return action;
  const { type, params } = action;
  const word = typeof params === 'object' ? (params.what ?? params.type) : undefined;
  return word === undefined ? type : `${type} ${word}`;
}

function take(ids) {
  ids.next += 1;
  return ids.next - 1;
}
