/** A shutdown as it goes: how far, against which deadline, what is stuck and in what. Kept when the broker is gone. */
import type { JSX } from 'preact';
import { hasEnded, type LastShutdown, type ShardProgress, type Shutdown } from '../facts.ts';
import { bytesText, counted, countText, dateText, durationText, percentText } from '../format.ts';
import { Icon } from '../icons.tsx';
import { plainText } from '../plain-text.ts';
import { badEnds, isClean, stuckShards } from '../problems.ts';
import { Scrollable } from '../scrollable.tsx';
import { ShutdownButtons } from '../shutdown-buttons.tsx';
import { legend, ShutdownChart } from '../shutdown-chart.tsx';
import { StateBadge } from '../state-badge.tsx';
import { link, live, previous, pulse, replayed, world } from '../store.ts';
import type { World } from '../world.ts';

export function ShutdownView(): JSX.Element {
  pulse.value;
  const shown = world.value;
  const { trace, status, shutdown, may, ended } = shown;
  const isLive = replayed.value === null && shown === live.value;
  const last = status?.lastShutdown ?? null;
  const before = previous.value;
  return (
    <>
      {isLive && link.value === 'lost' && <Gone world={shown} />}
      <Head world={shown}>
        {isLive && link.value === 'live' && may.act && ended === null && <ShutdownButtons shutdown={shutdown} />}
      </Head>
      {trace.begunAt === null ? <Quiet shutdown={shutdown} /> : <Course world={shown} />}
      {last !== null && <Report report={last} />}
      {isLive && before !== null && before.trace.begunAt !== null && (
        <section class="earlier">
          <h2>
            The run before, as this page saw it: pid {before.source?.pid}, until {dateText(before.at)}
          </h2>
          <Course world={before} />
        </section>
      )}
    </>
  );
}

function Gone({ world: { at, ended, trace } }: { readonly world: World }): JSX.Element {
  const wasLeaving = trace.begunAt !== null;
  return (
    <div class="banner" role="status">
      <Icon name="warning" />
      <div>
        <strong>The broker is gone since {dateText(ended?.at ?? at)}.</strong>
        <p>
          {wasLeaving
            ? 'This is what was seen of its shutdown.'
            : 'No shutdown was seen: it was killed, or the network broke.'}{' '}
          The page waits for the next one.
        </p>
      </div>
    </div>
  );
}

function Head({ world, children }: { readonly world: World; readonly children: JSX.Element | false }): JSX.Element {
  const { shutdown, trace, at, ended } = world;
  const phase = ended !== null ? 'stopped' : (trace.phase ?? shutdown?.phase ?? 'unknown');
  const isLeaving = trace.phase !== null && ended === null;
  const isStuck = stuckShards(world).length > 0;
  const left = trace.deadlineAt === null ? null : Math.max(trace.deadlineAt - at, 0);
  const end = trace.phases.at(-1)?.to ?? at;
  const released = trace.lanes.filter(({ id }) => trace.endOf(id) === 'released').length;
  const pending = trace.last?.shards.reduce((sum, { pendingRecords }) => sum + pendingRecords, 0) ?? 0;
  return (
    <section class="shutdown-head">
      <div class="shutdown-now">
        <StateBadge state={phase} />
        {shutdown?.reason != null && trace.begunAt !== null && (
          <p class="hint">
            {plainText(shutdown.reason, 120)}
            {shutdown.mode === null ? '' : ` · ${shutdown.mode}`}
            {(shutdown.requests ?? 1) > 1 ? ` · asked for ${shutdown.requests} times` : ''}
          </p>
        )}
      </div>
      {isLeaving && (
        <dl class="counters">
          <Counter
            name="Deadline in"
            value={left === null ? 'none' : durationText(left)}
            bad={left !== null && left < 3000}
          />
          <Counter
            name="ETA of the flush"
            value={isStuck ? 'stuck' : durationText(shutdown?.etaMs ?? null)}
            bad={isStuck || late(shutdown)}
          />
          <Counter name="Records pending" value={countText(pending)} />
          <Counter name="Bytes pending" value={bytesText(shutdown?.pendingBytes ?? 0)} />
          <Counter name="Clients" value={countText(shutdown?.sessions ?? 0)} />
        </dl>
      )}
      {!isLeaving && trace.begunAt !== null && (
        <dl class="counters">
          <Counter name={trace.cancelled ? 'Drained for' : 'It took'} value={durationText(end - trace.begunAt)} />
          {!trace.cancelled && (
            <Counter
              name="Shards released"
              value={`${released} of ${trace.lanes.length}`}
              bad={released < trace.lanes.length}
            />
          )}
          <Counter name="Flushed" value={bytesText(sum(trace.last, 'flushedBytes'))} />
          <Counter name="Records flushed" value={countText(sum(trace.last, 'flushedRecords'))} />
        </dl>
      )}
      {children}
    </section>
  );
}

function Counter({
  name,
  value,
  bad = false,
}: {
  readonly name: string;
  readonly value: string;
  readonly bad?: boolean;
}): JSX.Element {
  return (
    <div class={bad ? 'counter bad' : 'counter'}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function late(shutdown: Shutdown | null): boolean {
  return (
    shutdown !== null && shutdown.etaMs !== null && shutdown.deadlineMs !== null && shutdown.etaMs > shutdown.deadlineMs
  );
}

function sum(shutdown: Shutdown | null, field: 'flushedBytes' | 'flushedRecords'): number {
  return shutdown?.shards.reduce((total, shard) => total + shard[field], 0) ?? 0;
}

/** What a stop does, in order, in the words of an operator. */
const phaseWords: readonly (readonly [phase: string, words: string])[] = [
  ['announcing', 'Clients are told, and served as before. Load balancers see that it is not ready.'],
  ['draining', 'What was admitted is finished; what is new is refused. Commits under way are waited for.'],
  ['flushing', 'Each shard writes what waits, saves its state, marks its log clean. Clients are closed meanwhile.'],
  ['releasing', 'The last clients and the ports go. The report is written.'],
];

function Quiet({ shutdown }: { readonly shutdown: Shutdown | null }): JSX.Element {
  if (shutdown === null) {
    return (
      <section class="card empty">
        <h2>Nothing here shuts down</h2>
        <p>This source is no broker. Its charts and its events are in the other views.</p>
      </section>
    );
  }
  return (
    <section class="card">
      <h2>No shutdown goes on</h2>
      <p class="hint">
        When one does, this page draws it: a lane for every shard, each phase against its budget, the deadline as a
        line. Asked for now, it would find:
      </p>
      <dl class="counters preview">
        <Counter name="To be flushed" value={bytesText(shutdown.pendingBytes)} />
        <Counter name="The flush takes about" value={durationText(shutdown.etaMs)} />
        <Counter name="Clients to be told" value={countText(shutdown.sessions)} />
        <Counter name="Shards to be released" value={countText(shutdown.shards.length)} />
      </dl>
      <ol class="steps">
        {phaseWords.map(([phase, words]) => (
          <li key={phase}>
            <strong class={`step-name step-${phase}`}>{phase}</strong>
            <p>{words}</p>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Course({ world }: { readonly world: World }): JSX.Element {
  const { trace, at } = world;
  const stuck = stuckShards(world);
  const ends = badEnds(world);
  const children = (trace.last?.children ?? []).filter(({ kind }) => kind !== 'shard');
  const shards = (trace.last?.shards ?? []).map((shard) => {
    const end = trace.endOf(shard.id);
    return end === null ? shard : { ...shard, state: end };
  });
  return (
    <>
      {stuck.length > 0 && (
        <ul class="problems" aria-label="What is stuck">
          {stuck.map((shard) => (
            <li key={shard.id} class="bad">
              <Icon name="bad" />
              <div>
                <strong>{plainText(shard.id, 40)} is stuck</strong>
                <p>{stuckText(shard)}</p>
              </div>
            </li>
          ))}
        </ul>
      )}
      {ends.length > 0 && (
        <ul class="problems" aria-label="What did not end as it should">
          {ends.map(({ id, state, why }) => (
            <li key={id} class="bad">
              <Icon name="bad" />
              <div>
                <strong>
                  {plainText(id, 40)} {state === 'failed' ? 'has failed' : 'was abandoned'}
                </strong>
                <p>{why}</p>
              </div>
            </li>
          ))}
        </ul>
      )}
      <section class="card">
        <h2>Phases and shards</h2>
        <ShutdownChart trace={trace} now={at} stuck={stuck.map(({ id }) => id)} />
        <ul class="legend" aria-label="Colours">
          {legend.map(([kind, text]) => (
            <li key={kind}>
              <span class={`key key-${kind}`} aria-hidden="true" /> {text}
            </li>
          ))}
        </ul>
      </section>
      {shards.length > 0 && (
        <section class="card flush">
          <h2>What each shard has to do</h2>
          <ShardTable shards={shards} />
        </section>
      )}
      {children.length > 0 && (
        <section class="card">
          <h2>Others</h2>
          <ul class="plain-list">
            {children.map(({ id, state, detail }) => (
              <li key={id}>
                <strong>{plainText(id, 40)}</strong> <StateBadge state={state} />
                {detail !== null && <span class="hint">{plainText(detail, 200)}</span>}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function stuckText({ operation, operationMs, writeAgeMs, pendingRecords }: ShardProgress): string {
  const write = writeAgeMs === null ? '' : `, with a write that has been under way for ${durationText(writeAgeMs)}`;
  const behind = pendingRecords === 0 ? '' : `; ${counted(pendingRecords, 'record')} wait behind it`;
  return `At “${plainText(operation ?? '?', 60)}” for ${durationText(operationMs)}${write}${behind}.`;
}

function ShardTable({ shards }: { readonly shards: readonly ShardProgress[] }): JSX.Element {
  return (
    <Scrollable class="scroll-x" label="Shards in the shutdown, a table">
      <table class={shards.length > 8 ? 'table dense' : 'table'}>
        <thead>
          <tr>
            <th scope="col">Shard</th>
            <th scope="col">State</th>
            <th scope="col">Flushed</th>
            <th scope="col" class="number">
              Pending
            </th>
            <th scope="col">At</th>
          </tr>
        </thead>
        <tbody>
          {shards.map((shard) => (
            <tr key={shard.id}>
              <th scope="row">{plainText(shard.id, 30)}</th>
              <td>
                <StateBadge state={shard.state} />
              </td>
              <td>
                <Progress shard={shard} />
              </td>
              <td class="number">
                {countText(shard.pendingRecords)} · {bytesText(shard.pendingBytes)}
              </td>
              <td>{doing(shard)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrollable>
  );
}

function Progress({ shard }: { readonly shard: ShardProgress }): JSX.Element {
  const { id, flushedBytes, pendingBytes, state } = shard;
  const all = flushedBytes + pendingBytes;
  const part = state === 'released' ? 1 : all === 0 ? 0 : flushedBytes / all;
  return (
    <div class="progress-cell">
      <progress max={1} value={part} aria-label={`${plainText(id, 30)} flushed`} />
      <span>{percentText(part)}</span>
    </div>
  );
}

function doing({ state, operation, operationMs, detail }: ShardProgress): string {
  if (detail !== null) return plainText(detail, 200);
  if (hasEnded(state) || operation === null) return '–';
  return `${plainText(operation, 40)}, ${durationText(operationMs)}`;
}

function Report({ report }: { readonly report: LastShutdown }): JSX.Element {
  const clean = isClean(report);
  return (
    <section class="card report">
      <h2>The shutdown before this start</h2>
      <p class={clean ? 'outcome good' : 'outcome bad'}>
        <Icon name={clean ? 'ok' : 'bad'} /> {plainText(report.outcome, 40)}
        {report.exitCode === null ? '' : `, exit code ${report.exitCode}`}
      </p>
      <dl class="counters">
        <Counter name="Reason" value={report.reason === null ? '–' : plainText(report.reason, 60)} />
        <Counter name="It took" value={durationText(report.durationMs)} />
        <Counter name="Ended" value={report.endedAt === null ? '–' : dateText(report.endedAt)} />
        <Counter name="Records lost" value={countText(report.lost)} bad={report.lost > 0} />
        <Counter name="Outcome unknown" value={countText(report.unknown)} bad={report.unknown > 0} />
      </dl>
    </section>
  );
}
