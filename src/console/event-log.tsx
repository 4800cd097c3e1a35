/** The events of an actor, or of all, the newest first: paused when asked, or when scrolled away from its top. */
import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { select } from './actor-tree.tsx';
import { countText, exactClockText } from './format.ts';
import { Icon } from './icons.tsx';
import { plainText } from './plain-text.ts';
import { Scrollable } from './scrollable.tsx';
import { stateText } from './state-value.ts';
import { pulse, world } from './store.ts';
import { VirtualList } from './virtual-list.tsx';
import { EVENTS_MAX, type LoggedEvent, type World } from './world.ts';

const ROW_HEIGHT = 26;
const BODY_CHARACTERS = 300;

export function EventLog({ id }: { readonly id: string | null }): JSX.Element {
  pulse.value;
  const shown = world.value;
  const [text, setText] = useState('');
  const [isPaused, setPaused] = useState(false);
  const [open, setOpen] = useState<LoggedEvent | null>(null);
  const held = useRef<readonly LoggedEvent[]>([]);
  const heldKey = useRef('');
  const wanted = text.trim().toLowerCase();
  const key = `${id} ${wanted}`;
  if (!isPaused || heldKey.current !== key) {
    held.current = shown.events.newest(EVENTS_MAX, (event) => fits(event, id, wanted));
    heldKey.current = key;
  }
  const items = held.current;
  return (
    <section class="log" aria-label="Event log">
      <div class="pane-head">
        <input
          type="search"
          aria-label="Filter events by type"
          placeholder="Event type"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          <Icon name={isPaused ? 'play' : 'pause'} /> {isPaused ? 'Go on' : 'Pause'}
        </button>
        <span class="hint">{countText(items.length)} kept</span>
      </div>
      {items.length === 0 ? (
        <p class="hint">No event has come {id === null ? 'yet' : 'to this actor'} since this page looks.</p>
      ) : (
        <VirtualList
          items={items}
          rowHeight={ROW_HEIGHT}
          label="Events, newest first"
          keyOf={({ number }) => number}
          onScrolled={(top) => {
            if (top > ROW_HEIGHT && !isPaused) setPaused(true);
          }}
          row={(event) => <EventRow event={event} world={shown} alone={id !== null} onOpen={setOpen} />}
        />
      )}
      {open !== null && <EventBody event={open} onClose={() => setOpen(null)} />}
    </section>
  );
}

interface EventRowProps {
  readonly event: LoggedEvent;
  readonly world: World;
  readonly alone: boolean;
  readonly onOpen: (event: LoggedEvent) => void;
}

function EventRow({ event, world, alone, onOpen }: EventRowProps): JSX.Element {
  const { at, kind, to, from, type, value } = event;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of a virtual list, whose rows are no children of it.
    <div class={`log-row log-${kind}`} role="listitem">
      <time>{exactClockText(at)}</time>
      {!alone && (
        <button type="button" class="quiet log-actor" onClick={() => select(to)}>
          {nameOf(world, to)}
        </button>
      )}
      {kind === 'step' ? (
        <span class="log-text">→ {plainText(stateText(value), 60)}</span>
      ) : (
        <button type="button" class="quiet log-text" onClick={() => onOpen(event)}>
          <b>{plainText(type, 60)}</b> <span class="log-body">{bodyText(event)}</span>
        </button>
      )}
      <span class="log-from">{from === null || from === to ? '' : `from ${nameOf(world, from)}`}</span>
    </div>
  );
}

function EventBody({ event, onClose }: { readonly event: LoggedEvent; readonly onClose: () => void }): JSX.Element {
  return (
    <div class="event-body">
      <div class="pane-head">
        <b>{plainText(event.type, 80)}</b>
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      </div>
      <Scrollable class="event-text" label="The event">
        <pre>{plainText(JSON.stringify(event.body), 4000)}</pre>
      </Scrollable>
    </div>
  );
}

export function nameOf({ actors }: World, id: string): string {
  return plainText(actors.get(id)?.name ?? id, 30);
}

function bodyText({ body }: LoggedEvent): string {
  if (body === null) return '';
  const { type: _, ...rest } = body;
  const [first] = Object.keys(rest);
  return first === undefined ? '' : plainText(JSON.stringify(rest).slice(1, -1), BODY_CHARACTERS);
}

function fits({ to, from, type, kind, value }: LoggedEvent, id: string | null, text: string): boolean {
  if (id !== null && to !== id && from !== id) return false;
  if (text === '') return true;
  return (kind === 'step' ? stateText(value) : type).toLowerCase().includes(text);
}
