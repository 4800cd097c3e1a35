import { describe, expect, it } from 'vitest';
import { writeControl } from '../../src/shard/control-entry.ts';
import { entryText } from '../../src/shard/entry-text.ts';
import { ShardState } from '../../src/shard/shard-state.ts';
import { EntryKind, type LogEntry } from '../../src/storage/log.ts';

const clean = writeControl(EntryKind.clean, { time: 1 });

function entry(sequence: number, kind: number, body: Uint8Array = clean): LogEntry {
  return { sequence, epoch: 1, kind: kind as EntryKind, body, address: { segment: 1, position: 32 } };
}

describe('the state of a shard', () => {
  it.each([0, 99, 255])('refuses an entry of kind %i, which a newer version may have written', (kind) => {
    const state = new ShardState(2);
    state.apply(entry(1, EntryKind.clean));
    expect(() => state.apply(entry(2, kind))).toThrow(expect.objectContaining({ code: 'LOG_VERSION' }));
    expect(() => state.apply(entry(2, kind))).toThrow(`entry 2 of shard 2 is of kind ${kind}`);
    expect(state.applied).toBe(1);
  });

  it('shows such an entry as one that does not read', () => {
    expect(entryText(entry(2, 99))).toMatch(/^unreadable: /);
  });
});
