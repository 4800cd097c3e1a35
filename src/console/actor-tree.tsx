/** The tree of actors: filtered by name, state and status, walked by keyboard, thousands of rows long. */
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { countText } from './format.ts';
import { plainText } from './plain-text.ts';
import { toneOf } from './state-badge.tsx';
import { stateText } from './state-value.ts';
import { isFollowing, pulse, selectedId, world } from './store.ts';
import { VirtualList } from './virtual-list.tsx';
import type { ShownActor, World } from './world.ts';

const ROW_HEIGHT = 28;
const NAME_CHARACTERS = 60;

interface Row {
  readonly actor: ShownActor;
  readonly level: number;
  readonly children: number;
  readonly isOpen: boolean;
}

export function ActorTree(): JSX.Element {
  pulse.value;
  const shown = world.value;
  const [text, setText] = useState('');
  const [status, setStatus] = useState('');
  const [shut, setShut] = useState<ReadonlySet<string>>(new Set());
  const rows = rowsOf(shown, text.trim().toLowerCase(), status, shut);
  const selected = rows.findIndex(({ actor }) => actor.id === selectedId.value);
  const toggle = (id: string, open: boolean): void => {
    const next = new Set(shut);
    if (open) next.delete(id);
    else next.add(id);
    setShut(next);
  };
  const byKey = useMemo(
    () => (event: KeyboardEvent, all: readonly Row[], at: number) => {
      const row = all[at];
      const to = (index: number): void => {
        const next = all[Math.min(Math.max(index, 0), all.length - 1)];
        if (next !== undefined) select(next.actor.id);
      };
      const moves: Readonly<Record<string, () => void>> = {
        ArrowDown: () => to(at + 1),
        ArrowUp: () => to(at < 0 ? 0 : at - 1),
        Home: () => to(0),
        End: () => to(all.length - 1),
        PageDown: () => to(at + 10),
        PageUp: () => to(at - 10),
        ArrowRight: () => {
          if (row === undefined || row.children === 0) return;
          if (row.isOpen) to(at + 1);
          else toggle(row.actor.id, true);
        },
        ArrowLeft: () => {
          if (row === undefined) return;
          if (row.isOpen && row.children > 0) toggle(row.actor.id, false);
          else if (row.actor.parent !== null) select(row.actor.parent);
        },
      };
      const move = moves[event.key];
      if (move === undefined) return;
      event.preventDefault();
      move();
    },
    [shut],
  );
  return (
    <section class="pane tree" aria-label="Actors">
      <div class="pane-head">
        <input
          type="search"
          aria-label="Filter actors by name or state"
          placeholder="Name or state"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <select
          class="narrow-select"
          aria-label="Status"
          value={status}
          onChange={({ currentTarget }) => setStatus(currentTarget.value)}
        >
          <option value="">All</option>
          <option value="active">Active</option>
          <option value="done">Done</option>
          <option value="error">In error</option>
          <option value="gone">Gone</option>
        </select>
        <label class="check" title="Select whatever changed last">
          <input
            type="checkbox"
            checked={isFollowing.value}
            onChange={({ currentTarget }) => {
              isFollowing.value = currentTarget.checked;
            }}
          />
          Follow
        </label>
      </div>
      {rows.length === 0 ? (
        <p class="hint">No actor fits.</p>
      ) : (
        <VirtualList
          items={rows}
          rowHeight={ROW_HEIGHT}
          label="Actors"
          role="tree"
          activeIndex={selected}
          activeId={selected < 0 ? undefined : rowId(selectedId.value ?? '')}
          keyOf={({ actor }) => actor.id}
          onKeyDown={(event) => byKey(event, rows, selected)}
          row={(row) => <TreeRow row={row} onToggle={toggle} />}
        />
      )}
      <p class="pane-foot">
        {countText(rows.length)} of {countText(shown.actors.size)} actors
        {shown.sessions !== null && shown.sessions.shown < shown.sessions.open
          ? ` · ${countText(shown.sessions.open - shown.sessions.shown)} more sessions, not shown one by one`
          : ''}
      </p>
    </section>
  );
}

/** By hand: from here on it is not followed. */
export function select(id: string): void {
  isFollowing.value = false;
  selectedId.value = id;
}

function TreeRow({
  row,
  onToggle,
}: {
  readonly row: Row;
  readonly onToggle: (id: string, open: boolean) => void;
}): JSX.Element {
  const { actor, level, children, isOpen } = row;
  const state = actor.gone ? 'gone' : actor.status === 'active' ? stateText(actor.value) || actor.kind : actor.status;
  const isSelected = selectedId.value === actor.id;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree takes the keys for all its items.
    <div
      id={rowId(actor.id)}
      class={`tree-row${isSelected ? ' selected' : ''}${actor.gone ? ' gone' : ''}`}
      role="treeitem"
      tabIndex={-1}
      aria-level={level}
      aria-selected={isSelected}
      aria-expanded={children > 0 ? isOpen : undefined}
      style={{ '--level': String(level - 1) }}
      onClick={() => select(actor.id)}
    >
      <span
        class={`twist${children > 0 ? '' : ' leaf'}${isOpen ? ' open' : ''}`}
        aria-hidden="true"
        onClick={(event) => {
          if (children === 0) return;
          event.stopPropagation();
          onToggle(actor.id, !isOpen);
        }}
      />
      <span class={`dot tone-${toneOf(actor.status === 'active' ? state : actor.status)}`} aria-hidden="true" />
      <span class="tree-name">{plainText(actor.name, NAME_CHARACTERS)}</span>
      <span class="tree-state">{plainText(state, 40)}</span>
    </div>
  );
}

/** An id is text of strangers, and an element's id can't have blanks. */
function rowId(id: string): string {
  return `actor-${id.slice(0, 100).replace(/[^\w-]/g, '_')}`;
}

function rowsOf(world: World, text: string, status: string, shut: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const filtered = text !== '' || status !== '';
  const keep = filtered ? fitting(world, text, status) : null;
  const walk = (parent: string, level: number): void => {
    for (const id of world.children.get(parent) ?? []) {
      const actor = world.actors.get(id);
      if (actor === undefined || (keep !== null && !keep.has(id))) continue;
      const children = world.children.get(id)?.size ?? 0;
      const isOpen = keep !== null || !shut.has(id);
      rows.push({ actor, level, children, isOpen });
      if (isOpen && children > 0 && level < 50) walk(id, level + 1);
    }
  };
  walk('', 1);
  return rows;
}

/** What fits, and all above it. */
function fitting({ actors }: World, text: string, status: string): ReadonlySet<string> {
  const keep = new Set<string>();
  for (const actor of actors.values()) {
    if (status === 'gone' ? !actor.gone : status !== '' && (actor.status !== status || actor.gone)) continue;
    if (text !== '' && !`${actor.name} ${stateText(actor.value)}`.toLowerCase().includes(text)) continue;
    for (let id: string | null = actor.id; id !== null && !keep.has(id); id = actors.get(id)?.parent ?? null)
      keep.add(id);
  }
  return keep;
}
