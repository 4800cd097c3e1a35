/**
 * A shutdown drawn over time: the phases against what each may take, a lane for every shard with the states that it goes
 * through, the deadline as a line. It says the same in words for whoever does not see it.
 */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { durationText } from './format.ts';
import { plainText } from './plain-text.ts';
import type { Lane, PhaseSpan, ShutdownTrace, Span } from './shutdown-trace.ts';
import { pulse } from './store.ts';

const LANE = 30;
/** With many shards lanes are lower, so that all are in sight. */
const LANE_LOW = 24;
const LANES_HIGH_MAX = 10;
const HEAD = 58;
const FOOT = 26;
const RIGHT = 26;

export interface ShutdownChartProps {
  readonly trace: ShutdownTrace;
  /** Wall time of the newest that is known, ms. */
  readonly now: number;
  /** Ids of shards that do not get on. */
  readonly stuck: readonly string[];
}

/** How a state of a shard is drawn: by the last part of its name, or by what it is at. */
const kinds: Readonly<Record<string, string>> = {
  running: 'serve',
  serve: 'serve',
  ready: 'serve',
  draining: 'drain',
  drain: 'drain',
  drained: 'drain',
  settling: 'drain',
  settled: 'wait',
  'wait for the flush': 'wait',
  write: 'write',
  writing: 'write',
  flush: 'write',
  checkpoint: 'checkpoint',
  checkpointing: 'checkpoint',
  'mark clean': 'mark',
  marking: 'mark',
  release: 'release',
  releasing: 'release',
  released: 'released',
  failing: 'failed',
  failed: 'failed',
  abandoned: 'abandoned',
};

export const legend: readonly (readonly [kind: string, text: string])[] = [
  ['serve', 'serving'],
  ['drain', 'draining'],
  ['wait', 'waiting for the others'],
  ['write', 'writing'],
  ['checkpoint', 'saving its state'],
  ['mark', 'marking the log clean'],
  ['release', 'letting go'],
  ['released', 'released'],
  ['failed', 'failed'],
  ['abandoned', 'abandoned'],
];

export function ShutdownChart({ trace, now, stuck }: ShutdownChartProps): JSX.Element {
  pulse.value;
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(900);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(element.clientWidth, 300)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const names = width < 560 ? 72 : 104;
  const { from, to } = rangeOf(trace, now);
  const x = (at: number) => names + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (width - names - RIGHT);
  const high = trace.lanes.length > LANES_HIGH_MAX ? LANE_LOW : LANE;
  const height = HEAD + trace.lanes.length * high + FOOT;
  const isOver = trace.phase === null;
  const end = isOver ? (trace.phases.at(-1)?.to ?? now) : now;
  return (
    <div ref={box} class="gantt">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={told(trace, now)}>
        <defs>
          <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect class="hatch-ground" width="7" height="7" />
            <rect class="hatch-line" width="3" height="7" />
          </pattern>
        </defs>
        <Ticks from={from} to={to} x={x} height={height} room={width - names} />
        {trace.phases.map((phase) => (
          <Phase key={`${phase.name} ${phase.from}`} phase={phase} end={end} x={x} limit={to} />
        ))}
        {trace.lanes.map((lane, index) => (
          <LaneRow
            key={lane.id}
            lane={lane}
            from={from}
            end={end}
            y={HEAD + index * high - (LANE - high) / 2}
            bar={high - 8}
            x={x}
            names={names}
            isStuck={stuck.includes(lane.id)}
          />
        ))}
        {!isOver && <line class="now" x1={x(now)} x2={x(now)} y1={20} y2={height - FOOT + 4} />}
        {trace.deadlineAt !== null && trace.deadlineAt <= to && (
          <g class="deadline">
            <line x1={x(trace.deadlineAt)} x2={x(trace.deadlineAt)} y1={14} y2={height - FOOT + 4} />
            <text
              x={x(trace.deadlineAt)}
              y={10}
              text-anchor={width < 560 ? 'end' : 'middle'}
              dx={width < 560 ? RIGHT - 2 : 0}
            >
              deadline
            </text>
          </g>
        )}
      </svg>
    </div>
  );
}

interface Scale {
  readonly x: (at: number) => number;
}

function Ticks({
  from,
  to,
  x,
  height,
  room,
}: Scale & { from: number; to: number; height: number; room: number }): JSX.Element {
  const step = niceStep((to - from) / Math.max(Math.floor(room / 90), 2));
  const ticks: number[] = [];
  for (let at = 0; at <= to - from; at += step) ticks.push(at);
  return (
    <g class="ticks">
      {ticks.map((at) => (
        <g key={at}>
          <line x1={x(from + at)} x2={x(from + at)} y1={20} y2={height - FOOT + 4} />
          <text x={x(from + at)} y={height - 6} text-anchor={at === 0 ? 'start' : 'middle'}>
            {at === 0 ? '0' : tickText(at)}
          </text>
        </g>
      ))}
    </g>
  );
}

function Phase({ phase, end, x, limit }: Scale & { phase: PhaseSpan; end: number; limit: number }): JSX.Element | null {
  const { name, from, budgetMs } = phase;
  if (name === 'stopped') return null;
  const left = x(from);
  const right = Math.max(x(phase.to ?? end), left + 2);
  const budgetEnd = budgetMs === null ? null : x(Math.min(from + budgetMs, limit));
  const taken = durationText((phase.to ?? end) - from);
  const took = budgetMs === null ? taken : `${taken} of ${durationText(budgetMs)}`;
  const wide = Math.max(right, phase.to === null ? (budgetEnd ?? right) : right) - left;
  return (
    <g class={`phase phase-${phaseClass(name)}`}>
      {budgetEnd !== null && phase.to === null && budgetEnd > right && (
        <rect class="phase-budget" x={left} y={24} width={budgetEnd - left} height={22} rx={4} />
      )}
      <rect class="phase-taken" x={left} y={24} width={right - left} height={22} rx={4} />
      <text class="phase-name" x={left + 7} y={39}>
        {[`${name} · ${took}`, name].find((words) => wide > words.length * 7 + 10) ?? ''}
      </text>
    </g>
  );
}

interface LaneRowProps extends Scale {
  readonly lane: Lane;
  readonly from: number;
  readonly end: number;
  readonly y: number;
  /** Height of its bars. */
  readonly bar: number;
  readonly names: number;
  readonly isStuck: boolean;
}

function LaneRow({ lane, from, end, y, bar, x, names, isStuck }: LaneRowProps): JSX.Element {
  const last = lane.spans.at(-1);
  return (
    <g class={isStuck ? 'lane stuck' : 'lane'}>
      <text class="lane-name" x={0} y={y + 20}>
        {plainText(lane.id, 14)}
      </text>
      <line class="lane-ground" x1={names} x2={x(Number.POSITIVE_INFINITY)} y1={y + 15} y2={y + 15} />
      {lane.spans.map((span) => (
        <SpanBar
          key={`${span.name} ${span.from}`}
          span={span}
          from={from}
          end={end}
          y={y}
          bar={bar}
          x={x}
          isStuck={isStuck && span === last}
        />
      ))}
    </g>
  );
}

const endMarks: Readonly<Record<string, string>> = { released: '✓', failed: '✕', abandoned: '✕' };

function SpanBar({
  span,
  from,
  end,
  y,
  bar,
  x,
  isStuck,
}: Scale & { span: Span; from: number; end: number; y: number; bar: number; isStuck: boolean }): JSX.Element | null {
  const name = lastPart(span.name);
  const kind = kinds[name] ?? 'other';
  const left = x(Math.max(span.from, from));
  const mark = endMarks[kind];
  if (mark !== undefined) {
    return (
      <g class={`span-end end-${kind}`}>
        <circle cx={left + 9} cy={y + 15} r={Math.min(bar / 2, 9)} />
        <text x={left + 9} y={y + 19.5} text-anchor="middle">
          {mark}
        </text>
        <text class="end-name" x={left + 23} y={y + 19.5}>
          {kind === 'released' ? '' : name}
        </text>
      </g>
    );
  }
  if ((span.to ?? end) < from) return null;
  const width = Math.max(x(span.to ?? end) - left, 2);
  const text = isStuck ? `${name} — ${durationText(end - span.from)}` : name;
  const fits = width > text.length * 6.4 + 10;
  return (
    <g class={`span span-${kind}${isStuck ? ' stuck' : ''}`}>
      <rect x={left} y={y + 15 - bar / 2} width={width} height={bar} rx={3} />
      {fits && (
        <text x={left + 7} y={y + 19.5}>
          {plainText(text, 40)}
        </text>
      )}
      {!fits && isStuck && (
        <text class="beside" x={left + width + 7} y={y + 19.5}>
          {plainText(text, 40)}
        </text>
      )}
    </g>
  );
}

/** From the beginning to the deadline while that is what counts; once it is over, to its end and a little more. */
function rangeOf({ begunAt, deadlineAt, phases }: ShutdownTrace, now: number): { from: number; to: number } {
  const from = begunAt ?? now;
  const end = phases.at(-1)?.to ?? now;
  const isOver = phases.at(-1)?.to != null;
  const to = Math.max(isOver ? end + (end - from) * 0.12 : (deadlineAt ?? 0), end, from + 50);
  return { from, to: to + (to - from) * 0.01 };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const factor = [1, 2, 5, 10].find((multiple) => multiple * power >= rough) ?? 10;
  return factor * power;
}

function tickText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

function lastPart(state: string): string {
  return state.split('.').at(-1) ?? state;
}

function phaseClass(name: string): string {
  return /^\w+$/.test(name) ? name : 'other';
}

function told({ phases, lanes, deadlineAt }: ShutdownTrace, now: number): string {
  const took = phases
    .filter(({ name }) => name !== 'stopped')
    .map(({ name, from, to, budgetMs }) => {
      const of = budgetMs === null ? '' : ` of at most ${durationText(budgetMs)}`;
      return `${name} ${to === null ? 'for' : 'took'} ${durationText((to ?? now) - from)}${of}`;
    });
  const states = lanes.map(({ id, spans }) => `${plainText(id, 30)} ${plainText(spans.at(-1)?.name ?? 'unknown', 40)}`);
  const left =
    deadlineAt === null || phases.at(-1)?.to != null ? [] : [`deadline in ${durationText(deadlineAt - now)}`];
  return [...took, ...left, ...states].join('; ');
}
