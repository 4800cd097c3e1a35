/** The first view: what is wrong, said first; then what the broker does, in figures with their last minutes. */
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ackLatency, watchAckLatency } from '../ack-latency.ts';
import type { ShardStatus } from '../facts.ts';
import { byteRateText, bytesText, counted, countText, durationText, exactClockText, rateText } from '../format.ts';
import type { Sample } from '../history.ts';
import { Icon } from '../icons.tsx';
import { plainText } from '../plain-text.ts';
import { type Problem, problemsOf } from '../problems.ts';
import { go } from '../route.ts';
import { Scrollable } from '../scrollable.tsx';
import { Sparkline } from '../sparkline.tsx';
import { StateBadge, toneOf } from '../state-badge.tsx';
import { outerState, stateText } from '../state-value.ts';
import { link, pulse, replayed, selectedId, world } from '../store.ts';
import { isSession, type World } from '../world.ts';

const LATEST_MAX = 6;
/** Shards from which on the rows of a table are low. */
const DENSE_FROM = 8;

export function OverviewView(): JSX.Element {
  pulse.value;
  const shown = world.value;
  if (shown.source === null) return <Waiting />;
  return (
    <>
      <Headline world={shown} />
      <Problems problems={problemsOf(shown)} />
      {shown.status === null ? <ActorFigures world={shown} /> : <BrokerFigures world={shown} />}
    </>
  );
}

function Waiting(): JSX.Element {
  return (
    <section class="card empty">
      <h2>{link.value === 'connecting' ? 'Connecting…' : 'There is nothing to see yet'}</h2>
      <p>The page tries again by itself. A recording can be dropped here meanwhile.</p>
    </section>
  );
}

function Headline({ world: { status, shutdown, source, ended, actors } }: { readonly world: World }): JSX.Element {
  const phase = ended === null ? (shutdown?.phase ?? status?.phase ?? 'active') : 'stopped';
  const shards = status?.shards ?? [];
  const serving = shards.filter(({ state }) => state === 'ready' || state === 'running').length;
  const words = [
    ...(shards.length > 0 ? [`${serving} of ${counted(shards.length, 'shard')} serving`] : []),
    ...(status?.sessions != null ? [counted(status.sessions, 'session')] : []),
    ...(status?.topics != null ? [counted(status.topics, 'topic')] : []),
    ...(status === null ? [counted(actors.size, 'actor')] : []),
  ];
  return (
    <header class={`headline tone-${ended === null ? toneOf(phase) : 'idle'}`}>
      <p class="headline-phase">
        <StateBadge state={ended === null ? phase : 'gone'} />
      </p>
      <p class="headline-words">
        {ended === null ? words.join(' · ') : `What was seen of ${plainText(source?.name ?? '', 40)} until it went`}
      </p>
    </header>
  );
}

function Problems({ problems }: { readonly problems: readonly Problem[] }): JSX.Element {
  if (problems.length === 0) {
    return (
      <p class="all-well">
        <Icon name="ok" /> Nothing is wrong.
      </p>
    );
  }
  return (
    <ul class="problems" aria-label="What is wrong">
      {problems.map(({ id, severity, title, detail, route }) => (
        <li key={id} class={severity}>
          <Icon name={severity === 'bad' ? 'bad' : 'warning'} />
          <div>
            <strong>{title}</strong>
            <p>{detail}</p>
          </div>
          {route !== 'overview' && (
            <a href={`#/${route}`} aria-label={`Look: ${title}`}>
              Look
            </a>
          )}
        </li>
      ))}
    </ul>
  );
}

function BrokerFigures({ world }: { readonly world: World }): JSX.Element {
  pulse.value;
  const { status, history } = world;
  const { samples, last } = history;
  const isLive = link.value === 'live' && replayed.value === null;
  useEffect(() => (isLive ? watchAckLatency() : undefined), [isLive]);
  const toldAcks = samples.map(({ ackMs }) => ackMs);
  const acks = last?.ackMs == null ? ackLatency.value : toldAcks.map((ms) => ms ?? 0);
  const line = (of: (sample: Sample) => number | null) => samples.map((sample) => of(sample) ?? 0);
  const disk = (status?.shards ?? []).flatMap(({ diskFreeBytes }) => (diskFreeBytes === null ? [] : [diskFreeBytes]));
  const logBytes = (status?.shards ?? []).reduce((sum, shard) => sum + (shard.logBytes ?? 0), 0);
  return (
    <>
      <section class="tiles eight" aria-label="Figures">
        <Tile name="Records" value={rateText(last?.recordsPerSecond ?? null)} line={line((s) => s.recordsPerSecond)} />
        <Tile name="Ack latency, p99" value={acks.at(-1) ? durationText(acks.at(-1) ?? null) : '–'} line={acks} />
        <Tile
          name="Records per sync"
          value={last?.groupSize == null ? '–' : countText(last.groupSize)}
          line={line((s) => s.groupSize)}
        />
        <Tile
          name="Log growth"
          value={byteRateText(last?.logBytesPerSecond ?? null)}
          line={line((s) => s.logBytesPerSecond)}
        />
        <Tile name="Queued for the disk" value={bytesText(last?.queueBytes ?? null)} line={line((s) => s.queueBytes)} />
        <Tile name="In flight" value={bytesText(status?.inFlightBytes ?? null)} line={line((s) => s.inFlightBytes)} />
        <Tile name="Sessions" value={countText(status?.sessions ?? null)} line={line((s) => s.sessions)} />
        <Tile
          name="Disk"
          value={disk.length === 0 ? bytesText(logBytes) : `${bytesText(Math.min(...disk))} free`}
          note={`${bytesText(logBytes)} of log`}
        />
      </section>
      <section class="card flush">
        <h2>Shards</h2>
        <ShardTable
          shards={status?.shards ?? []}
          samples={samples}
          stateOf={({ id, state }) => world.trace.endOf(id) ?? state}
        />
      </section>
      <Latest world={world} />
    </>
  );
}

/** The machines that changed last, sessions left out: where a look at the charts is worth it. */
function Latest({ world: { actors } }: { readonly world: World }): JSX.Element | null {
  const changed = [...actors.values()]
    .filter(({ id, steps }) => steps > 0 && !isSession(id))
    .sort((one, other) => other.changedAt - one.changedAt)
    .slice(0, LATEST_MAX);
  if (changed.length === 0) return null;
  return (
    <section class="card flush">
      <h2>Latest changes</h2>
      <ul class="latest">
        {changed.map(({ id, name, value, changedAt }) => (
          <li key={id}>
            <time>{exactClockText(changedAt)}</time>
            <button
              type="button"
              class="quiet"
              onClick={() => {
                selectedId.value = id;
                go('charts');
              }}
            >
              {plainText(name, 40)}
            </button>
            <StateBadge state={stateText(value)} />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface TileProps {
  readonly name: string;
  readonly value: string;
  readonly line?: readonly number[];
  readonly note?: string;
}

function Tile({ name, value, line, note }: TileProps): JSX.Element {
  return (
    <div class="tile">
      <h2>{name}</h2>
      <p class="figure">{value}</p>
      {line === undefined ? (
        <p class="tile-note">{note}</p>
      ) : (
        <Sparkline values={line} label={`${name}, last two minutes`} />
      )}
    </div>
  );
}

function ShardTable({
  shards,
  samples,
  stateOf,
}: {
  readonly shards: readonly ShardStatus[];
  readonly samples: readonly Sample[];
  readonly stateOf: (shard: ShardStatus) => string;
}): JSX.Element {
  return (
    <Scrollable class="scroll-x" label="Shards, a table">
      <table class={shards.length > DENSE_FROM ? 'table dense' : 'table'}>
        <thead>
          <tr>
            <th scope="col">Shard</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Records
            </th>
            <th scope="col" class="wide">
              Last two minutes
            </th>
            <th scope="col" class="number">
              Queue
            </th>
            <th scope="col" class="number">
              Flush rate
            </th>
            <th scope="col" class="number">
              Per sync
            </th>
            <th scope="col" class="number">
              Partitions
            </th>
            <th scope="col" class="number">
              Log
            </th>
          </tr>
        </thead>
        <tbody>
          {shards.map((shard) => {
            const mine = samples.map((sample) => sample.shards.get(shard.id));
            const now = mine.at(-1);
            return (
              <tr key={shard.id}>
                <th scope="row">{plainText(shard.id, 30)}</th>
                <td>
                  <StateBadge state={stateOf(shard)} />
                </td>
                <td class="number">{rateText(now?.recordsPerSecond ?? null)}</td>
                <td class="wide">
                  <Sparkline
                    values={mine.map((sample) => sample?.recordsPerSecond ?? 0)}
                    label={`Records of ${plainText(shard.id, 30)}, last two minutes`}
                  />
                </td>
                <td class="number">{bytesText(shard.queueBytes)}</td>
                <td class="number">{byteRateText(shard.flushBytesPerSecond)}</td>
                <td class="number">{now?.groupSize == null ? '–' : countText(now.groupSize)}</td>
                <td class="number">{countText(shard.partitions)}</td>
                <td class="number">{bytesText(shard.logBytes)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scrollable>
  );
}

/** A source that is no broker: its machines. */
function ActorFigures({ world: { actors, history, facts } }: { readonly world: World }): JSX.Element {
  const shown = [...actors.values()].filter(({ gone, machine }) => !gone && machine !== null).slice(0, 200);
  return (
    <>
      <section class="tiles" aria-label="Figures">
        <Tile name="Actors" value={countText(actors.size)} note="now" />
        <Tile
          name="Events"
          value={rateText(facts?.eventsPerSecond ?? null)}
          line={history.samples.map(({ eventsPerSecond }) => eventsPerSecond)}
        />
      </section>
      <section class="card flush">
        <h2>Machines</h2>
        <ul class="plain-list">
          {shown.map(({ id, name, value }) => (
            <li key={id}>
              <strong>{plainText(name, 40)}</strong> <StateBadge state={outerState(value)} />
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
