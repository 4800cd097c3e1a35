/**
 * The drawn chart of a machine: active states lit, the edges of the last step marked, and flashing as they are taken.
 * Without a picture, its states as a list.
 */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { ChartState, MachineFrame } from '../inspection/frames.ts';
import { Icon } from './icons.tsx';
import { around, type Box, freeFrom } from './label-spacing.ts';
import { Minimap } from './minimap.ts';
import { PanZoom } from './pan-zoom.ts';
import { plainText } from './plain-text.ts';
import { safeSvg } from './safe-svg.ts';
import { Scrollable } from './scrollable.tsx';
import { activePaths, stateText } from './state-value.ts';
import { pulse } from './store.ts';
import type { ShownActor } from './world.ts';

export interface ChartPictureProps {
  readonly machine: MachineFrame;
  readonly actor: ShownActor;
  /** Of the actor; a new number is a step that flashes. */
  readonly steps: number;
}

export function ChartPicture({ machine, actor, steps }: ChartPictureProps): JSX.Element {
  pulse.value;
  const box = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const corner = useRef<HTMLDivElement>(null);
  const panZoom = useRef<PanZoom | null>(null);
  const minimap = useRef<Minimap | null>(null);
  const svg = useMemo(() => safeSvg(machine.picture), [machine]);
  const state = stateText(actor.value);

  useEffect(() => {
    if (svg === null || box.current === null || layer.current === null || corner.current === null) return;
    const size = sizeOf(svg);
    svg.setAttribute('width', String(size.width));
    svg.setAttribute('height', String(size.height));
    svg.setAttribute('aria-hidden', 'true');
    layer.current.replaceChildren(svg);
    backgroundsFirst(svg);
    spaceLabels(svg);
    const map = new Minimap(box.current, corner.current, svg, size);
    const moving = new PanZoom(
      box.current,
      layer.current,
      () => size,
      (view) => map.show(view),
    );
    map.steer(moving);
    moving.follow();
    panZoom.current = moving;
    minimap.current = map;
    return () => {
      moving.end();
      map.end();
      minimap.current = null;
    };
  }, [svg]);

  useEffect(() => {
    if (svg === null) return;
    light(svg, activePaths(actor.value));
    if (minimap.current !== null) light(minimap.current.picture, activePaths(actor.value));
    const innermost = svg.querySelector('.innermost');
    if (innermost !== null) panZoom.current?.interest(innermost);
  }, [svg, actor.id, state]);

  useEffect(() => {
    if (svg === null) return;
    mark(svg, actor.edges, steps > 0);
    if (minimap.current !== null) mark(minimap.current.picture, actor.edges, false);
  }, [svg, actor.id, steps]);

  if (svg === null) return <StateList machine={machine} actor={actor} />;
  const name = `Chart of ${plainText(machine.id, 40)}; active: ${plainText(state, 120)}`;
  return (
    <div class="chart">
      <div
        ref={box}
        class="chart-box"
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it is panned and zoomed by keyboard.
        tabIndex={0}
        aria-label={`${name}. Arrow keys move it, plus and minus zoom, 0 fits it, the full stop goes to the active state.`}
      >
        <div ref={layer} class="chart-layer drawn" />
      </div>
      <div ref={corner} class="minimap drawn" aria-hidden="true" hidden />
      <fieldset class="chart-tools" aria-label="Zoom">
        <button type="button" class="square" aria-label="Zoom in" onClick={() => panZoom.current?.zoom(1.25)}>
          <Icon name="plus" />
        </button>
        <button type="button" class="square" aria-label="Zoom out" onClick={() => panZoom.current?.zoom(0.8)}>
          <Icon name="minus" />
        </button>
        <button type="button" class="square" aria-label="Fit the chart" onClick={() => panZoom.current?.fit()}>
          <Icon name="fit" />
        </button>
        <button
          type="button"
          class="square"
          aria-label="Keep the active state in sight"
          onClick={() => panZoom.current?.follow()}
        >
          <Icon name="target" />
        </button>
      </fieldset>
    </div>
  );
}

function sizeOf(svg: SVGSVGElement): { readonly width: number; readonly height: number } {
  const [, , width = 0, height = 0] = (svg.getAttribute('viewBox') ?? '').split(/[\s,]+/).map(Number);
  if (width > 0 && height > 0) return { width, height };
  return {
    width: Number.parseFloat(svg.getAttribute('width') ?? '') || 800,
    height: Number.parseFloat(svg.getAttribute('height') ?? '') || 600,
  };
}

/** The outline of a state comes last in the picture, above its text: filled it would hide that. */
function backgroundsFirst(svg: SVGSVGElement): void {
  for (const state of svg.querySelectorAll('g[data-state], g.state')) {
    const outline = [...state.children].findLast(({ localName }) => localName === 'path');
    if (outline !== undefined) state.prepend(outline);
  }
}

/** The picture is in the page, so that its texts have a size. */
function spaceLabels(svg: SVGSVGElement): void {
  const taken: Box[] = [...svg.querySelectorAll<SVGTextElement>('[data-state] > text')].map((text) => text.getBBox());
  for (const edge of svg.querySelectorAll('[data-edge]')) {
    const texts = [...edge.querySelectorAll('text')];
    if (texts.length === 0) continue;
    const box = around(texts.map((text) => text.getBBox()));
    const by = freeFrom(box, taken);
    if (by !== 0) for (const text of texts) text.setAttribute('transform', `translate(0 ${by})`);
    taken.push({ ...box, y: box.y + by });
  }
}

function light(svg: SVGSVGElement, paths: readonly string[]): void {
  const innermost = paths.at(-1);
  for (const element of svg.querySelectorAll('[data-state]')) {
    const path = element.getAttribute('data-state') ?? '';
    element.classList.toggle('active', paths.includes(path));
    element.classList.toggle('innermost', path === innermost);
  }
}

function mark(svg: SVGSVGElement, edges: readonly number[], isStep: boolean): void {
  for (const element of svg.querySelectorAll('[data-edge]')) {
    // An edge that stands for several transitions carries all their numbers.
    const numbers = (element.getAttribute('data-edge') ?? '').split(/[\s,]+/).map(Number);
    const taken = numbers.some((number) => edges.includes(number));
    element.classList.toggle('last', taken);
    element.classList.remove('flash');
    if (!taken || !isStep) continue;
    // Read, so that an animation which runs begins anew.
    element.getBoundingClientRect();
    element.classList.add('flash');
  }
}

function StateList({ machine, actor }: Omit<ChartPictureProps, 'steps'>): JSX.Element {
  const active = activePaths(actor.value);
  const edges = machine.definition.edges;
  const item = ({ path, key, states }: ChartState): JSX.Element => (
    <li key={path}>
      <span class={active.includes(path) ? 'state-name active' : 'state-name'}>
        {active.includes(path) ? '● ' : '○ '}
        {plainText(key)}
      </span>
      <ul class="edge-list">
        {edges.map((edge, index) =>
          edge.source === path && edge.target !== null ? (
            <li key={`${path} ${index}`} class={actor.edges.includes(index) ? 'last' : ''}>
              {plainText(edge.event === '' ? 'at once' : edge.event)}
              {edge.guard === undefined ? '' : ` [${plainText(edge.guard)}]`} → {plainText(edge.target)}
            </li>
          ) : null,
        )}
      </ul>
      {states.length > 0 && <ul>{states.map(item)}</ul>}
    </li>
  );
  return (
    <Scrollable class="state-list" label="States">
      <p class="hint">This chart could not be drawn; these are its states.</p>
      <ul>{machine.definition.root.states.map(item)}</ul>
    </Scrollable>
  );
}
