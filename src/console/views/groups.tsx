/** Consumer groups: who is in them, who owns what, and how far each partition is behind. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type GroupRow, groups } from '../broker-client.ts';
import { bytesText, countText, durationText } from '../format.ts';
import { plainText } from '../plain-text.ts';
import { Scrollable } from '../scrollable.tsx';
import { StateBadge } from '../state-badge.tsx';

export function GroupTable(): JSX.Element {
  const [open, setOpen] = useState<string | null>(null);
  const shown = groups.value.find(({ group }) => group === open);
  return (
    <section class="card flush">
      <div class="card-head">
        <h2>Groups</h2>
      </div>
      {groups.value.length === 0 ? (
        <p class="hint">No group has members, or had any.</p>
      ) : (
        <Scrollable class="scroll-x" label="Groups, a table">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Group</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Members
                </th>
                <th scope="col" class="number">
                  Lag
                </th>
                <th scope="col" class="number wide">
                  Oldest
                </th>
                <th scope="col" class="number wide">
                  Rebalances
                </th>
                <th scope="col">
                  <span class="unseen">Look</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {groups.value.map((row) => (
                <tr key={row.group}>
                  <th scope="row">{plainText(row.group, 60)}</th>
                  <td>
                    <StateBadge state={row.state} />
                  </td>
                  <td class="number">{countText(row.members.filter(({ present }) => present).length)}</td>
                  <td class="number">{lagText(row)}</td>
                  <td class="number wide">{oldestText(row)}</td>
                  <td class="number wide">{countText(row.rebalances)}</td>
                  <td>
                    <button
                      type="button"
                      aria-expanded={open === row.group}
                      aria-label={`Partitions of ${plainText(row.group, 60)}`}
                      onClick={() => setOpen(open === row.group ? null : row.group)}
                    >
                      Partitions
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrollable>
      )}
      {shown !== undefined && <Partitions row={shown} />}
    </section>
  );
}

function Partitions({ row }: { readonly row: GroupRow }): JSX.Element {
  if (row.lag === null) return <p class="hint">How far it is behind could not be had; it is asked for again.</p>;
  return (
    <Scrollable class="scroll-x" label={`Partitions of ${plainText(row.group, 60)}, a table`}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col">Owner</th>
            <th scope="col" class="number">
              Committed
            </th>
            <th scope="col" class="number">
              Behind
            </th>
            <th scope="col" class="number wide">
              About
            </th>
            <th scope="col" class="number wide">
              Oldest
            </th>
          </tr>
        </thead>
        <tbody>
          {row.lag.map(({ topic, partition, member, committed, records, bytes, ms }) => (
            <tr key={`${topic}/${partition}`}>
              <th scope="row">
                {plainText(topic, 60)}/{partition}
              </th>
              <td>{member === null ? 'nobody' : plainText(member, 60)}</td>
              <td class="number">{committed === null ? '–' : countText(committed)}</td>
              <td class="number">{countText(records)}</td>
              <td class="number wide">{bytesText(bytes)}</td>
              <td class="number wide">{records === 0 ? '–' : durationText(ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrollable>
  );
}

function lagText({ lag }: GroupRow): string {
  return lag === null ? '–' : countText(lag.reduce((sum, { records }) => sum + records, 0));
}

function oldestText({ lag }: GroupRow): string {
  const oldest = Math.max(0, ...(lag ?? []).map(({ ms }) => ms));
  return oldest === 0 ? '–' : durationText(oldest);
}
