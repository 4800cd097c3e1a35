/**
 * Draws a chart as SVG: states and those within them, the actors that they run, and every edge that leads somewhere,
 * with its event, guard and delay. Not drawn: edges that a state takes without leaving, and bookkeeping. Colours are the
 * page's: what is drawn says by `data-state` and `data-edge` which state and which edges it is. Run by the picture thread.
 */
import type { ChartDefinition, ChartState } from './frames.ts';

/** Stands for every state that has no answer of its own: where the edges of the whole machine begin. */
const ANYWHERE = 'any state';
/** Beside a label, so that it does not touch its arrow. Begins with no space of any kind: those are trimmed. */
const AIR = '\u200b\u00a0\u00a0';
/** Longest line of a label and most lines of one, and the longest name, characters. */
const COLUMNS = 34;
const LINES_MAX = 12;
const NAME_MAX = 60;
/** Largest chart that is drawn; a larger one is no picture that anybody reads. */
const STATES_MAX = 300;
const EDGES_MAX = 1000;

interface DrawnState {
  readonly name: string;
  readonly label?: string;
  readonly type: 'regular' | 'initial';
  readonly typeExplicitlySet: true;
  readonly class?: string;
  readonly actions?: readonly { readonly type: 'entry' | 'exit' | 'activity'; readonly body: string }[];
  readonly statemachine?: { readonly states: readonly DrawnState[] };
}

interface DrawnEdge {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly class: string;
  readonly label?: string;
}

/** What state-machine-cat draws. Names are ours: those of a machine may hold what the drawing program reads as orders. */
export interface Drawing {
  readonly states: readonly DrawnState[];
  readonly transitions: readonly DrawnEdge[];
  /** Path of each state by its name in the drawing. */
  readonly paths: ReadonlyMap<string, string>;
}

/** SVG text; '' for a chart with nothing to draw, or too much. Rejects when it can't be drawn. */
export async function drawPicture(definition: ChartDefinition): Promise<string> {
  const drawing = drawingOf(definition);
  if (drawing === null) return '';
  const { render } = await import('state-machine-cat');
  const { states, transitions } = drawing;
  const svg = (await render(
    { states, transitions } as never,
    {
      inputType: 'json',
      outputType: 'svg',
      direction: 'top-down',
      noDotNativeWarning: true,
      dotGraphAttrs: [
        { name: 'nodesep', value: '0.5' },
        { name: 'ranksep', value: '0.45' },
        { name: 'bgcolor', value: 'transparent' },
      ],
    } as never,
  )) as string;
  return cleaned(svg, drawing.paths);
}

/** Null when there is nothing to draw, or too much. */
export function drawingOf(definition: ChartDefinition): Drawing | null {
  const names = new Map<string, string>();
  nameStates(definition.root, names);
  const { edges, root } = definition;
  if (root.states.length === 0 || names.size > STATES_MAX || edges.length > EDGES_MAX) return null;
  const initials: DrawnEdge[] = [];
  const states = root.states.map((state) => drawnState(state, names, initials));
  const first = initialOf(root, names, initials);
  const transitions = [...initials, ...edgesOf(definition, names, initials.length + 1)];
  const anywhere = names.get('') ?? '';
  return {
    states: [
      ...(first === null ? [] : [first]),
      ...states,
      ...(transitions.some(({ from }) => from === anywhere)
        ? [
            {
              name: anywhere,
              label: ANYWHERE,
              type: 'regular' as const,
              typeExplicitlySet: true as const,
              class: 'any',
            },
          ]
        : []),
    ],
    transitions,
    paths: new Map([...names].filter(([path]) => path !== '').map(([path, name]) => [name, path])),
  };
}

function nameStates(state: ChartState, names: Map<string, string>): void {
  if (!names.has(state.path)) names.set(state.path, `s${names.size}`);
  for (const child of state.states) nameStates(child, names);
}

function drawnState(state: ChartState, names: ReadonlyMap<string, string>, initials: DrawnEdge[]): DrawnState {
  const name = names.get(state.path) ?? '';
  const inner = state.states.map((child) => drawnState(child, names, initials));
  const first = initialOf(state, names, initials);
  const actions = [
    ...state.invoke.map(({ src }) => ({ type: 'activity' as const, body: `do: ${plain(src)}` })),
    ...state.entry.map((action) => ({ type: 'entry' as const, body: plain(action) })),
    ...state.exit.map((action) => ({ type: 'exit' as const, body: plain(action) })),
  ];
  return {
    name,
    label: plain(state.key),
    type: 'regular',
    typeExplicitlySet: true,
    class: state.type,
    ...(actions.length === 0 ? {} : { actions }),
    ...(inner.length === 0 ? {} : { statemachine: { states: first === null ? inner : [first, ...inner] } }),
  };
}

/** The dot at which a state's inside begins, and the arrow from it. */
function initialOf(state: ChartState, names: ReadonlyMap<string, string>, initials: DrawnEdge[]): DrawnState | null {
  const child = state.states.find(({ key }) => key === state.initial);
  const to = child === undefined ? undefined : names.get(child.path);
  if (to === undefined) return null;
  const name = `i${initials.length}`;
  initials.push({ id: initials.length + 1, from: name, to, class: 'begin' });
  return { name, type: 'initial', typeExplicitlySet: true };
}

/** Edges between the same two states are one line with several words, in the order of their precedence. */
function edgesOf({ root, edges }: ChartDefinition, names: ReadonlyMap<string, string>, firstId: number): DrawnEdge[] {
  const lines = new Map<string, { readonly from: string; readonly to: string; labels: string[]; numbers: number[] }>();
  for (const [number, { source, target, event, guard, delay }] of edges.entries()) {
    // A loop around a state with others in it is not drawn well; one around the whole machine says nothing.
    if (target === null || target === source) continue;
    const from = names.get(source);
    const to = names.get(target);
    if (from === undefined || to === undefined) continue;
    const line = lines.get(`${from} ${to}`) ?? { from, to, labels: [], numbers: [] };
    const words = [eventText(event, delay, source, root), guard === undefined ? '' : `[${plain(guard)}]`];
    line.labels.push(words.filter((word) => word !== '').join(' '));
    line.numbers.push(number);
    lines.set(`${from} ${to}`, line);
  }
  return [...lines.values()].map(({ from, to, labels, numbers }, index) => {
    const label = framed(labels.filter((text) => text !== ''));
    const marks = numbers.map((number) => `edge${number}`).join(' ');
    return { id: firstId + index, from, to, class: marks, ...(label === '' ? {} : { label }) };
  });
}

function eventText(event: string, delay: string | undefined, source: string, root: ChartState): string {
  if (delay !== undefined)
    return delay === '0' ? 'at once' : `after ${plain(delay)}${/^\d+$/.test(delay) ? ' ms' : ''}`;
  const ended = /^xstate\.(done|error)\.actor\.(.+)$/.exec(event);
  if (ended !== null) {
    const src = stateAt(root, source)?.invoke.find(({ id }) => id === ended[2])?.src ?? ended[2] ?? '';
    return `${plain(src)} ${ended[1] === 'done' ? 'done' : 'failed'}`;
  }
  if (event.startsWith('xstate.done.state.')) return 'done';
  return plain(event);
}

function stateAt(state: ChartState, path: string): ChartState | undefined {
  if (state.path === path) return state;
  const next = state.states.find((child) => path === child.path || path.startsWith(`${child.path}.`));
  return next === undefined ? undefined : stateAt(next, path);
}

/** Broken into lines that are not too long, with some air towards the arrow that they stand beside. */
function framed(labels: readonly string[]): string {
  const lines = labels.flatMap(wrapped);
  const shown = lines.length > LINES_MAX ? [...lines.slice(0, LINES_MAX - 1), '…'] : lines;
  return shown.map((line) => `${AIR}${line}${AIR}`).join('\n');
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

/** Control characters and halves of characters: neither text nor XML has a place for them. */
const unprintable = /[\p{Cc}\p{Cs}\ufffe\uffff]/gu;

/** A name as a label: short, of one line, with nothing in it that the drawing program takes for more than a text. */
function plain(text: string): string {
  const line = text.replace(unprintable, '\ufffd');
  const safe = line.replace(/\\/g, '\u2216').replace(/&/g, '\uff06').replace(/</g, '\u2039').replace(/>/g, '\u203a');
  return safe.length > NAME_MAX ? `${[...safe].slice(0, NAME_MAX - 1).join('')}…` : safe;
}

/**
 * Without colours, fonts, comments and titles; with `data-state` and `data-edge` on the groups. Which state a group is
 * stands in its title, which edges it is in its classes.
 */
function cleaned(svg: string, paths: ReadonlyMap<string, string>): string {
  return svg
    .slice(Math.max(svg.indexOf('<svg'), 0))
    .replace(/<!--.*?-->\s*/gs, '')
    .replace(/ fill="[^"]*" fill-opacity="0\.0[^"]*"/g, ' fill="none"')
    .replace(/ (?:xmlns:xlink|xml:space|font-family|fill-opacity|style)="[^"]*"/g, '')
    .replace(/ (fill|stroke)="(?!none|transparent)[^"]*"/g, '')
    .replace(
      /<g id="[^"]*" class="([^"]*)"([^>]*)>\s*<title>(.*?)<\/title>/gs,
      (_, names: string, rest: string, title: string) => {
        const words = names.replaceAll('&#45;', '-').split(' ');
        const edges = words.flatMap((word) => /^edge(\d+)$/.exec(word)?.[1] ?? []);
        const path = paths.get(title.replace(/^cluster_/, ''));
        const marks = [
          ...(path === undefined ? [] : [` data-state="${escaped(path)}"`]),
          ...(edges.length === 0 ? [] : [` data-edge="${edges.join(' ')}"`]),
        ];
        return `<g class="${words.filter((word) => !/^edge\d+$/.test(word)).join(' ')}"${rest}${marks.join('')}>`;
      },
    )
    .replace(/<title>.*?<\/title>\s*/gs, '')
    .trimEnd();
}

function escaped(text: string): string {
  const whole = text.replace(unprintable, '\ufffd');
  return whole.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
