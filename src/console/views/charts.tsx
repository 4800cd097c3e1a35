/** Actors as what they are: the tree, the chart of the one that is selected, and what it is told. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ActorTree } from '../actor-tree.tsx';
import { ChartPicture } from '../chart-picture.tsx';
import { tell } from '../connection.ts';
import { EventLog } from '../event-log.tsx';
import { clockText, exactClockText } from '../format.ts';
import { Icon } from '../icons.tsx';
import { plainLines, plainText } from '../plain-text.ts';
import { Scrollable } from '../scrollable.tsx';
import { Sequence } from '../sequence.tsx';
import { StateBadge } from '../state-badge.tsx';
import { stateText } from '../state-value.ts';
import { link, pulse, replayed, selectedId, world } from '../store.ts';
import type { ShownActor, World } from '../world.ts';

const tabs = ['Events', 'Sequence', 'Context'] as const;
type Tab = (typeof tabs)[number];
/** Of the source's 16 KiB and the indentation that makes it readable, characters. */
const CONTEXT_CHARACTERS_MAX = 64 * 1024;

export function ChartsView(): JSX.Element {
  pulse.value;
  const shown = world.value;
  const actor = shown.actors.get(selectedId.value ?? '') ?? firstMachine(shown);
  return (
    <div class="charts">
      <ActorTree />
      {actor === null ? (
        <section class="pane empty" aria-label="Chart">
          <p class="hint">Nothing runs here yet.</p>
        </section>
      ) : (
        <Selected key={actor.id} actor={actor} world={shown} />
      )}
    </div>
  );
}

function firstMachine({ actors }: World): ShownActor | null {
  for (const actor of actors.values()) if (actor.machine !== null) return actor;
  return null;
}

function Selected({ actor, world: shown }: { readonly actor: ShownActor; readonly world: World }): JSX.Element {
  pulse.value;
  const [tab, setTab] = useState<Tab>('Events');
  const machine = shown.machines.get(actor.machine ?? '') ?? null;
  const state = stateText(actor.value);
  return (
    <>
      <section class="pane drawing" aria-label="Chart">
        <div class="pane-head">
          <h2>{plainText(actor.name, 50)}</h2>
          <StateBadge state={actor.gone ? 'gone' : actor.status === 'active' && state !== '' ? state : actor.status} />
          <span class="hint wide">
            {actor.kind} · since {clockText(actor.since)} · changed {exactClockText(actor.changedAt)}
          </span>
        </div>
        {actor.error !== null && <p class="wrong">{plainText(actor.error, 500)}</p>}
        {machine === null ? (
          <p class="hint">This actor is {article(actor.kind)}: it has no chart.</p>
        ) : (
          <ChartPicture machine={machine} actor={actor} steps={actor.steps} />
        )}
      </section>
      <section class="pane detail" aria-label="Detail">
        <div class="tabs" role="tablist" aria-label="Detail">
          {tabs.map((name) => (
            <button
              key={name}
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-selected={tab === name}
              aria-controls="detail-panel"
              tabIndex={tab === name ? 0 : -1}
              onClick={() => setTab(name)}
              onKeyDown={(event) => walkTabs(event, tab, setTab)}
            >
              {name}
            </button>
          ))}
        </div>
        <div class="tab-panel" role="tabpanel" id="detail-panel" aria-labelledby={`tab-${tab}`}>
          {tab === 'Events' && <EventLog id={actor.id} />}
          {tab === 'Sequence' && <Sequence id={actor.id} />}
          {tab === 'Context' && <Context actor={actor} world={shown} />}
        </div>
      </section>
    </>
  );
}

function walkTabs(event: KeyboardEvent, tab: Tab, set: (tab: Tab) => void): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
  if (step === 0 || next === undefined) return;
  event.preventDefault();
  set(next);
  document.getElementById(`tab-${next}`)?.focus();
}

function Context({ actor, world: shown }: { readonly actor: ShownActor; readonly world: World }): JSX.Element {
  pulse.value;
  const isLive = link.value === 'live' && replayed.value === null && !actor.gone;
  const known = shown.contexts.get(actor.id);
  useEffect(() => {
    if (isLive && !shown.contexts.has(actor.id)) tell({ type: 'context', id: actor.id });
  }, [isLive, actor.id]);
  return (
    <div class="context">
      <div class="pane-head">
        {isLive && (
          <button type="button" onClick={() => tell({ type: 'context', id: actor.id })}>
            Ask again
          </button>
        )}
        <span class="hint">
          {known === undefined
            ? isLive
              ? 'Asked for…'
              : 'A context is told only when it is asked for; there is none here.'
            : `As of ${exactClockText(known.at)}; secrets are left out`}
        </span>
      </div>
      {known !== undefined && (
        <Scrollable class="context-text" label="Context">
          <pre>{plainLines(JSON.stringify(known.context, null, 2), CONTEXT_CHARACTERS_MAX)}</pre>
        </Scrollable>
      )}
      {isLive && shown.may.send && <SendForm id={actor.id} />}
      {shown.notices.length > 0 && <p class="wrong">{plainText(shown.notices.at(-1) ?? '', 300)}</p>}
    </div>
  );
}

/** Only in a build that allows it. */
function SendForm({ id }: { readonly id: string }): JSX.Element {
  const [text, setText] = useState('{ "type": "" }');
  const [wrong, setWrong] = useState<string | null>(null);
  return (
    <form
      class="send"
      onSubmit={(submit) => {
        submit.preventDefault();
        const event = eventOf(text);
        if (event === null) return setWrong('An event is a JSON object with a “type”.');
        setWrong(tell({ type: 'send', id, event }) ? null : 'Nothing is connected.');
      }}
    >
      <label class="field">
        <span>Send an event</span>
        <textarea
          rows={3}
          spellcheck={false}
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      {wrong !== null && <p class="wrong">{wrong}</p>}
      <button type="submit" class="primary">
        <Icon name="send" /> Send
      </button>
    </form>
  );
}

function eventOf(text: string): { readonly type: string } | null {
  try {
    const event = JSON.parse(text) as unknown;
    if (typeof event !== 'object' || event === null || !('type' in event)) return null;
    return typeof event.type === 'string' && event.type !== '' ? { ...event, type: event.type } : null;
  } catch {
    return null;
  }
}

function article(kind: ShownActor['kind']): string {
  return kind === 'observable' ? 'an observable' : kind === 'other' ? 'logic of its own kind' : `a ${kind}`;
}
