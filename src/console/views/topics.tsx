/** What the broker holds: topics and where they stand, groups, a live tail to search in, a record published by hand. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import {
  clientFailure,
  clientState,
  clientUrl,
  close,
  follow,
  open,
  publish,
  stopTail,
  type TailRow,
  tail,
  tailed,
  topics,
} from '../broker-client.ts';
import { bytesText, countText, durationText, exactClockText } from '../format.ts';
import { Icon } from '../icons.tsx';
import { plainText } from '../plain-text.ts';
import { Scrollable } from '../scrollable.tsx';
import { StateBadge } from '../state-badge.tsx';
import { link, live, pulse, say } from '../store.ts';
import { VirtualList } from '../virtual-list.tsx';
import { GroupTable } from './groups.tsx';

const ROW_HEIGHT = 26;

export function TopicsView(): JSX.Element {
  pulse.value;
  const port = live.value.status?.port ?? null;
  const isLive = link.value === 'live';
  useEffect(() => {
    if (!isLive || port === null) return;
    run(open(port));
    return () => run(close());
  }, [isLive, port]);
  if (!isLive || port === null) {
    return (
      <section class="card empty">
        <h2>No broker to ask</h2>
        <p>Topics are asked for from the broker itself; a recording has none of their records.</p>
      </section>
    );
  }
  return (
    <>
      <Connection port={port} />
      <TopicTable />
      {tailed.value !== null && <Tail topic={tailed.value} />}
      <GroupTable />
    </>
  );
}

function Connection({ port }: { readonly port: number }): JSX.Element {
  const [token, setToken] = useState('');
  const failure = clientFailure.value;
  const state = clientState.value;
  return (
    <div class="connection-line">
      <StateBadge state={state === 'off' ? 'closed' : state} />
      <span class="hint">{clientUrl(port)}</span>
      {failure !== null && state !== 'ready' && <p class="wrong">{plainText(failure.message, 300)}</p>}
      {failure?.wantsToken === true && (
        <form
          class="inline-form"
          onSubmit={(event) => {
            event.preventDefault();
            run(open(port, token));
          }}
        >
          <label class="field inline">
            <span>Token for clients</span>
            <input
              type="password"
              autocomplete="off"
              value={token}
              onInput={({ currentTarget }) => setToken(currentTarget.value)}
            />
          </label>
          <button type="submit">Connect</button>
        </form>
      )}
    </div>
  );
}

function TopicTable(): JSX.Element {
  const [text, setText] = useState('');
  const wanted = text.trim().toLowerCase();
  const shown = topics.value.filter(({ topic }) => topic.toLowerCase().includes(wanted));
  return (
    <section class="card flush">
      <div class="card-head">
        <h2>Topics</h2>
        <input
          type="search"
          aria-label="Filter topics"
          placeholder="Filter"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </div>
      {shown.length === 0 ? (
        <p class="hint">{topics.value.length === 0 ? 'There is no topic yet.' : 'No topic fits.'}</p>
      ) : (
        <Scrollable class="scroll-x" label="Topics, a table">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Topic</th>
                <th scope="col" class="number">
                  Partitions
                </th>
                <th scope="col" class="number">
                  Records
                </th>
                <th scope="col" class="wide">
                  Ack
                </th>
                <th scope="col" class="wide">
                  Kept
                </th>
                <th scope="col">
                  <span class="unseen">Look</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ topic, partitions, durability, retention, state }) => (
                <tr key={topic}>
                  <th scope="row">{plainText(topic, 60)}</th>
                  <td class="number">{countText(partitions)}</td>
                  <td class="number">
                    {countText(state.reduce((sum, { start, highWatermark }) => sum + highWatermark - start, 0))}
                  </td>
                  <td class="wide">{durability}</td>
                  <td class="wide">{keptText(retention)}</td>
                  <td>
                    <button
                      type="button"
                      aria-pressed={tailed.value === topic}
                      aria-label={`Tail of ${plainText(topic, 60)}`}
                      onClick={() => (tailed.value === topic ? stopTail() : run(follow(topic)))}
                    >
                      Tail
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrollable>
      )}
    </section>
  );
}

function Tail({ topic }: { readonly topic: string }): JSX.Element {
  const [text, setText] = useState('');
  const [held, setHeld] = useState<readonly TailRow[] | null>(null);
  const wanted = text.toLowerCase();
  const all = held ?? tail.value;
  const rows = all.filter(
    ({ key, value }) => value.toLowerCase().includes(wanted) || (key ?? '').toLowerCase().includes(wanted),
  );
  return (
    <section class="card tail" aria-label={`Tail of ${plainText(topic, 60)}`}>
      <div class="card-head">
        <h2>{plainText(topic, 60)}</h2>
        <input
          type="search"
          aria-label="Search keys and values"
          placeholder="Search keys and values"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="button" aria-pressed={held !== null} onClick={() => setHeld(held === null ? tail.value : null)}>
          <Icon name={held === null ? 'pause' : 'play'} /> {held === null ? 'Pause' : 'Go on'}
        </button>
        <button type="button" class="quiet" onClick={stopTail}>
          Close
        </button>
      </div>
      {rows.length === 0 ? (
        <p class="hint">{all.length === 0 ? 'No record yet.' : 'Nothing fits.'}</p>
      ) : (
        <VirtualList
          items={rows}
          rowHeight={ROW_HEIGHT}
          label="Records, newest first"
          keyOf={({ number }) => number}
          onScrolled={(top) => {
            if (top > ROW_HEIGHT && held === null) setHeld(tail.value);
          }}
          row={(row) => <Row row={row} />}
        />
      )}
      <PublishForm topic={topic} />
    </section>
  );
}

function Row({ row }: { readonly row: TailRow }): JSX.Element {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of a virtual list, whose rows are no children of it.
    <div class="log-row" role="listitem">
      <time>{exactClockText(row.time)}</time>
      <span class="log-actor">
        {row.partition}@{row.offset}
      </span>
      <span class="log-text">
        {row.key !== null && <b>{plainText(row.key, 60)}</b>} <span class="log-body">{plainText(row.value, 400)}</span>
      </span>
      <span class="log-from">{bytesText(row.bytes)}</span>
    </div>
  );
}

function PublishForm({ topic }: { readonly topic: string }): JSX.Element {
  const [key, setKey] = useState('');
  const [value, setValue] = useState('');
  return (
    <form
      class="publish"
      onSubmit={(event) => {
        event.preventDefault();
        publish(topic, key, value)
          .then((place) => {
            say(`Stored at ${place}.`);
            setValue('');
          })
          .catch((error: unknown) =>
            say(`Not stored: ${error instanceof Error ? error.message : String(error)}`, true),
          );
      }}
    >
      <label class="field">
        <span>Key</span>
        <input value={key} autocomplete="off" onInput={({ currentTarget }) => setKey(currentTarget.value)} />
      </label>
      <label class="field grow">
        <span>Value</span>
        <input value={value} autocomplete="off" onInput={({ currentTarget }) => setValue(currentTarget.value)} />
      </label>
      <button type="submit" class="primary" disabled={clientState.value !== 'ready'}>
        Publish
      </button>
    </form>
  );
}

function keptText({ ms, bytes }: { readonly ms?: number | null; readonly bytes?: number | null }): string {
  const bounds = [ms == null ? '' : durationText(ms), bytes == null ? '' : bytesText(bytes)].filter(
    (text) => text !== '',
  );
  return bounds.length === 0 ? 'for ever' : bounds.join(' or ');
}

function run(work: Promise<unknown>): void {
  work.catch((error: unknown) => say(error instanceof Error ? error.message : String(error), true));
}
