/** Who told whom what, in order: lifelines and arrows of the newest events, of one actor and its partners or of all. */
import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { nameOf } from './event-log.tsx';
import { exactClockText } from './format.ts';
import { Icon } from './icons.tsx';
import { plainText } from './plain-text.ts';
import { Scrollable } from './scrollable.tsx';
import { stateText } from './state-value.ts';
import { pulse, world } from './store.ts';
import { isSession, type LoggedEvent, type World } from './world.ts';

/** What still reads as a picture. */
const MESSAGES_MAX = 80;
const LIFELINES_MAX = 12;
const COLUMN = 114;
const ROW = 30;
const TOP = 40;
const LEFT = 92;
const STATE_CHARACTERS = 22;

export function Sequence({ id }: { readonly id: string | null }): JSX.Element {
  pulse.value;
  const shown = world.value;
  const [all, setAll] = useState(id === null);
  const [isPaused, setPaused] = useState(false);
  const held = useRef<readonly LoggedEvent[]>([]);
  const heldKey = useRef('');
  const only = all ? null : id;
  if (!isPaused || heldKey.current !== String(only)) {
    held.current = messagesOf(shown, only);
    heldKey.current = String(only);
  }
  const messages = held.current;
  const lines = lifelinesOf(messages, only);
  return (
    <section class="log" aria-label="Sequence">
      <div class="pane-head">
        <label class="check">
          <input type="checkbox" checked={all} onChange={({ currentTarget }) => setAll(currentTarget.checked)} />
          All actors
        </label>
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          <Icon name={isPaused ? 'play' : 'pause'} /> {isPaused ? 'Go on' : 'Pause'}
        </button>
        <span class="hint">newest first; sessions are left out of “all”</span>
      </div>
      {messages.length === 0 ? (
        <p class="hint">No event has come yet.</p>
      ) : (
        <Diagram world={shown} messages={messages} lines={lines} />
      )}
    </section>
  );
}

interface DiagramProps {
  readonly world: World;
  readonly messages: readonly LoggedEvent[];
  readonly lines: readonly string[];
}

function Diagram({ world, messages, lines }: DiagramProps): JSX.Element {
  const width = LEFT + lines.length * COLUMN;
  const height = TOP + messages.length * ROW + 10;
  const x = (id: string | null) => LEFT + (lines.indexOf(id ?? '') + 0.5) * COLUMN;
  return (
    <Scrollable class="sequence" label="Sequence of events, newest first">
      <svg
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={told(world, messages)}
      >
        {lines.map((id) => (
          <g key={id}>
            <line class="lifeline" x1={x(id)} x2={x(id)} y1={TOP - 8} y2={height} />
            <text class="lifeline-name" x={x(id)} y={20} text-anchor="middle">
              {id === '' ? 'outside' : nameOf(world, id).slice(0, 18)}
            </text>
          </g>
        ))}
        {messages.map((message, index) => (
          <Message key={message.number} message={message} x={x} y={TOP + (index + 0.7) * ROW} />
        ))}
      </svg>
    </Scrollable>
  );
}

interface MessageProps {
  readonly message: LoggedEvent;
  readonly x: (id: string | null) => number;
  readonly y: number;
}

function Message({ message, x, y }: MessageProps): JSX.Element {
  const { at, kind, to, from, type, value } = message;
  const end = x(to);
  const start = x(from);
  const time = (
    <text class="message-time" x={6} y={y}>
      {exactClockText(at)}
    </text>
  );
  if (kind === 'step') {
    const state = plainText(stateText(value), 60).slice(-STATE_CHARACTERS);
    const wide = state.length * 7.2 + 16;
    return (
      <g class="message step">
        {time}
        <rect x={end - wide / 2} y={y - 15} width={wide} height={20} rx={10} />
        <text x={end} y={y - 1} text-anchor="middle">
          {state}
        </text>
      </g>
    );
  }
  if (start === end) {
    return (
      <g class="message">
        {time}
        <path class="arrow" d={`M${end} ${y - 10}h26v12h-22`} />
        <path class="head" d={`M${end + 2} ${y + 2}l7 -4v8z`} />
        <text x={end + 32} y={y}>
          {plainText(type, 40).slice(0, 22)}
        </text>
      </g>
    );
  }
  const way = end > start ? -1 : 1;
  return (
    <g class="message">
      {time}
      <path class="arrow" d={`M${start} ${y}H${end + way * 6}`} />
      <path class="head" d={`M${end} ${y}l${way * 8} -4v8z`} />
      <text x={(start + end) / 2} y={y - 4} text-anchor="middle">
        {plainText(type, 40).slice(0, 30)}
      </text>
    </g>
  );
}

function messagesOf({ events }: World, id: string | null): LoggedEvent[] {
  return events.newest(MESSAGES_MAX, ({ to, from }) =>
    id === null ? !isSession(to) && !isSession(from ?? '') : to === id || from === id,
  );
}

/** The actor itself first, then those that spoke last. */
function lifelinesOf(messages: readonly LoggedEvent[], id: string | null): string[] {
  const lines = new Set<string>(id === null ? [] : [id]);
  for (const { to, from, kind } of messages) {
    if (kind === 'event') lines.add(from ?? '');
    lines.add(to);
    if (lines.size >= LIFELINES_MAX) break;
  }
  // What comes from outside is at the left, and everybody keeps a place while new ones come.
  return [...lines].sort((one, other) => (one < other ? -1 : 1));
}

function told(world: World, messages: readonly LoggedEvent[]): string {
  const words = messages
    .slice(0, 10)
    .map(({ kind, from, to, type, value }) =>
      kind === 'step'
        ? `${nameOf(world, to)} went to ${plainText(stateText(value), 40)}`
        : `${from === null ? 'outside' : nameOf(world, from)} told ${nameOf(world, to)} ${plainText(type, 40)}`,
    );
  return `Newest first: ${words.join('; ')}`;
}
