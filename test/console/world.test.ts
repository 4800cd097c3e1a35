/** What a page makes of frames, with no page: the world, the recorder, files, and text of strangers. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bucketsOf, quantileMs } from '../../src/console/ack-buckets.ts';
import { isBatch } from '../../src/console/frame-check.ts';
import { freeFrom } from '../../src/console/label-spacing.ts';
import { plainLines, plainText } from '../../src/console/plain-text.ts';
import { problemsOf, stuckShards } from '../../src/console/problems.ts';
import { Recording } from '../../src/console/recording.ts';
import { RecordingError, readRecording } from '../../src/console/recording-file.ts';
import { Ring } from '../../src/console/ring.ts';
import { activePaths, stateText } from '../../src/console/state-value.ts';
import { readSvg, type SvgElement } from '../../src/console/svg-text.ts';
import { EVENTS_MAX, World } from '../../src/console/world.ts';
import type { Batch } from '../../src/inspection/frames.ts';
import { SimulatedSource, simulatedMachines } from './simulated-source.ts';

type Machines = Awaited<ReturnType<typeof simulatedMachines>>;

let machines: Machines;

beforeAll(async () => {
  machines = await simulatedMachines();
}, 60_000);

/** A run of the source, recorded: its batches, and the recorder that was fed with them. */
function recorded(source: SimulatedSource, ms: number, bytesMax = 64 * 1024 * 1024) {
  const recording = new Recording(bytesMax);
  const world = new World();
  const batches: Batch[] = [];
  const take = (batch: Batch): void => {
    recording.add(batch, JSON.stringify(batch), world);
    world.apply(batch);
    batches.push(batch);
  };
  take(source.greeting());
  for (let done = 0; done < ms && !source.ended; done += 50) take(source.step());
  return { recording, world, batches };
}

/** All that views read of a world, the events left out: a seek knows only those of two segments. */
function seen(world: World) {
  const { actors, status, shutdown, trace, history, at, ended, source } = world;
  const shownActors = [...actors.values()]
    .filter(({ gone }) => !gone)
    .map(({ id, value, status: is }) => [id, is, stateText(value)]);
  const { phases, lanes, deadlineAt } = trace;
  return {
    actors: shownActors,
    status,
    shutdown,
    phases,
    lanes,
    deadlineAt,
    samples: history.samples.length,
    at,
    ended,
    source,
  };
}

async function* textIn(text: string, size = 1000): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

describe('the world', () => {
  it('follows every shard to its end, and names the one that hangs', () => {
    const source = new SimulatedSource(machines, { stuck: 'shard-02' });
    const world = new World();
    world.apply(source.greeting());
    source.stop();
    for (let done = 0; done < 10_000; done += 50) world.apply(source.step());
    expect(stuckShards(world).map(({ id }) => id)).toEqual(['shard-02']);
    expect(problemsOf(world)[0]).toMatchObject({ severity: 'bad', title: 'The shutdown waits for shard-02' });
    while (!source.ended) world.apply(source.step());
    const ends = world.trace.lanes.map(({ id, spans }) => `${id} ${spans.at(-1)?.name}`);
    expect(ends).toEqual(['shard-00 released', 'shard-01 released', 'shard-02 abandoned', 'shard-03 released']);
    expect(world.trace.phases.map(({ name }) => name)).toEqual([
      'announcing',
      'draining',
      'flushing',
      'releasing',
      'stopped',
    ]);
    for (const { name, budgetMs } of world.trace.phases.slice(0, -1))
      expect([name, budgetMs]).not.toEqual([name, null]);
    expect(world.ended).not.toBeNull();
  });

  it('knows phases that were over before it looked', () => {
    const source = new SimulatedSource(machines);
    source.stop();
    for (let done = 0; done < 6000; done += 50) source.step();
    const world = new World();
    world.apply(source.greeting());
    const { phases, deadlineAt } = world.trace;
    expect(phases.map(({ name }) => name)).toEqual(['announcing', 'draining', 'flushing']);
    expect((phases[0]?.to ?? 0) - (phases[0]?.from ?? 0)).toBe(2000);
    expect(deadlineAt).toBe(source.now + 14_000);
  });

  it('keeps a drain that was cancelled until the next one begins', () => {
    const source = new SimulatedSource(machines);
    const world = new World();
    world.apply(source.greeting());
    source.drain();
    for (let done = 0; done < 2000; done += 50) world.apply(source.step());
    expect(world.trace.phase).toBe('draining');
    source.cancelDrain();
    for (let done = 0; done < 2000; done += 50) world.apply(source.step());
    expect(world.trace).toMatchObject({ phase: null, cancelled: true });
    expect(world.trace.begunAt).not.toBeNull();
    source.stop();
    world.apply(source.step());
    expect(world.trace).toMatchObject({ phase: 'announcing', cancelled: false });
    expect(world.trace.phases).toHaveLength(1);
  });

  it('is bounded: events, and actors that are gone', () => {
    const world = new World();
    const actor = {
      type: 'actor',
      parent: null,
      name: 'n',
      machine: null,
      kind: 'promise',
      status: 'active',
      value: null,
      since: 0,
    } as const;
    for (let number = 0; number < 1000; number += 1) {
      const id = `x:${number}`;
      const events = Array.from(
        { length: 30 },
        () => ({ type: 'event', at: 1, to: id, from: null, event: { type: 'e' } }) as const,
      );
      world.apply({
        v: 1,
        seq: number,
        at: number,
        dropped: 0,
        frames: [{ ...actor, id }, ...events, { type: 'gone', id }],
      });
    }
    expect(world.events.length).toBe(EVENTS_MAX);
    expect(world.actors.size).toBe(200);
    expect([...world.children.values()].reduce((sum, ids) => sum + ids.size, 0)).toBe(200);
  });
});

describe('the flight recorder', () => {
  it('shows any moment as it was', () => {
    const source = new SimulatedSource(machines, { stuck: 'shard-01' });
    source.eventsPerSecond = 800;
    const { recording, batches } = recorded(source, 20_000);
    source.stop();
    const live = new World();
    const moments = new Map<number, ReturnType<typeof seen>>();
    for (const [index, batch] of batches.entries()) {
      live.apply(batch);
      if (index % 37 === 0) moments.set(batch.at, structuredClone(seen(live)));
    }
    expect(moments.size).toBeGreaterThan(8);
    for (const [at, state] of moments) {
      const found = recording.worldAt(at);
      expect(found === null ? null : seen(found.world)).toEqual(state);
    }
  });

  it('plays forwards to the same as it seeks', () => {
    const source = new SimulatedSource(machines);
    source.eventsPerSecond = 1500;
    source.stop();
    const { recording } = recorded(source, 60_000);
    const { from, to } = recording;
    if (from === null || to === null) throw new Error('nothing was recorded');
    let playing = recording.worldAt(from);
    for (let at = from; at <= to && playing !== null; at += 330) {
      playing = { world: playing.world, position: recording.advance(playing.world, playing.position, at) };
      const found = recording.worldAt(at);
      expect(seen(playing.world)).toEqual(found === null ? null : seen(found.world));
    }
  });

  it('lets the oldest go, and what it keeps opens without it', async () => {
    const source = new SimulatedSource(machines, { sessions: 100 });
    source.eventsPerSecond = 4000;
    const { recording, world } = recorded(source, 60_000, 4 * 1024 * 1024);
    expect(recording.bytes).toBeLessThan(6 * 1024 * 1024);
    const { from, to } = recording;
    expect((to ?? 0) - (from ?? 0)).toBeLessThan(30_000);
    const file = [...recording.lines()].join('\n');
    const read = await readRecording(textIn(file, 100_000));
    expect([read.from, read.to]).toEqual([from, to]);
    const end = read.worldAt(read.to ?? 0);
    expect(end?.world.actors.size).toBe(world.actors.size);
    expect(end?.world.machines.size).toBe(5);
    expect(end?.world.shutdown).toEqual(world.shutdown);
  });

  it('writes a file that reads back to the same, in pieces of any size', async () => {
    const source = new SimulatedSource(machines);
    source.stop();
    const { recording, world } = recorded(source, 30_000);
    const file = `${[...recording.lines()].join('\n')}\n`;
    for (const size of [999, 65_537]) {
      const read = await readRecording(textIn(file, size));
      expect([read.from, read.to]).toEqual([recording.from, recording.to]);
      const end = read.worldAt(read.to ?? 0);
      expect(end === null ? null : { ...seen(end.world), samples: 0 }).toEqual({ ...seen(world), samples: 0 });
    }
  });

  it.each([
    ['', 'empty'],
    ['hello\n', 'no recording'],
    ['{"sluice":"recording","v":2}\n', 'version 2'],
    ['{"sluice":"recording","v":1}\n', 'no batches'],
    ['{"sluice":"recording","v":1}\nnope\n{}\n', 'line 2 is not JSON'],
    ['{"sluice":"recording","v":1}\n{"v":1,"at":1,"frames":[{"type":"actor","id":5}]}\n', 'line 2 is no batch'],
  ])('says what is wrong with %j', async (text, why) => {
    await expect(readRecording(textIn(text))).rejects.toThrow(why);
    await expect(readRecording(textIn(text))).rejects.toBeInstanceOf(RecordingError);
  });

  it('refuses megabytes that have no line before it has gathered them', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<string> {
      for (;;) {
        given += 65_536;
        yield 'x'.repeat(65_536);
      }
    }
    await expect(readRecording(endless())).rejects.toThrow('no recording');
    expect(given).toBeLessThan(1_000_000);
  });

  it('passes over a last line that was cut', async () => {
    const source = new SimulatedSource(machines);
    const { recording } = recorded(source, 2000);
    const file = [...recording.lines()].join('\n');
    const read = await readRecording(textIn(file.slice(0, -20)));
    expect(read.batches).toBe(recording.batches - 1);
  });
});

describe('frames of strangers', () => {
  it('are taken or refused, and never break the world', () => {
    const text = fc.oneof(
      fc.constantFrom('hello', 'machine', 'actor', 'gone', 'event', 'step', 'state', 'facts', 'x'),
      fc.string(),
    );
    const anything = fc.jsonValue({ maxDepth: 4 });
    const frame = fc.record(
      {
        type: text,
        id: text,
        parent: text,
        name: text,
        machine: text,
        kind: text,
        status: fc.anything({ maxDepth: 2 }),
        value: anything,
        since: fc.double(),
        at: fc.double(),
        edges: fc.array(anything),
        event: anything,
        shutdown: anything,
        eventsPerSecond: anything,
      },
      { requiredKeys: ['type'] },
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ v: fc.constant(1), seq: fc.nat(), at: fc.nat(), dropped: fc.nat(), frames: fc.array(frame) }),
        ),
        (batches) => {
          const world = new World();
          for (const batch of JSON.parse(JSON.stringify(batches)) as unknown[]) if (isBatch(batch)) world.apply(batch);
          problemsOf(world);
          for (const { value } of world.actors.values()) expect(activePaths(value).length).toBeLessThan(1000);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('have names that are cut and shown for what they are', () => {
    expect(plainText('a\u0000b\u202ec\n')).toBe('a␀b‹202E›c␊');
    expect(plainText('x'.repeat(65_536))).toBe(`${'x'.repeat(80)}… (65,456 more)`);
    expect(plainText('<img src=x onerror=alert(1)>')).toBe('<img src=x onerror=alert(1)>');
    expect(plainLines('a\n\tb\u0007', 100)).toBe('a\n\tb␇');
  });
});

describe('a picture', () => {
  const all = (element: SvgElement): SvgElement[] => [
    element,
    ...element.children.flatMap((child) => (typeof child === 'string' ? [] : all(child))),
  ];
  const markOf = ({ attributes }: SvgElement, name: string) => attributes.find(([key]) => key === name)?.[1];

  it('of each machine comes through whole, with its marks', () => {
    for (const { id, picture, definition } of machines.values()) {
      const svg = readSvg(picture);
      const read = svg === null ? [] : all(svg);
      const states = new Set(read.flatMap((element) => markOf(element, 'data-state') ?? []));
      const count = (state: typeof definition.root): number =>
        state.states.reduce((sum, inner) => sum + 1 + count(inner), 0);
      expect([id, states.size]).toEqual([id, count(definition.root)]);
      expect(read.length).toBe(picture.match(/<(?!\/|\?|!)[a-z]/g)?.length);
      expect(read.filter(({ name }) => name === 'text').length).toBeGreaterThan(states.size);
    }
  });

  it('has nothing in it that acts, links or styles', () => {
    const svg = readSvg(
      `<?xml version="1.0"?><!DOCTYPE svg PUBLIC "a" "b"><svg xmlns="http://www.w3.org/2000/svg" onload="a()" viewBox="0 0 1 1">
      <script>a()</script><g><foreignObject><text>inner</text></foreignObject></g><a href="javascript:a()"><text>link</text></a>
      <style>*{}</style><image href="x"/><text onclick='a()' style="x" x="1" fill="url(x)">&lt;b&gt; &#38;&#x26; &none; &#0;</text></svg>`,
    );
    expect(svg).toEqual({
      name: 'svg',
      attributes: [['viewBox', '0 0 1 1']],
      children: [
        { name: 'g', attributes: [], children: [] },
        { name: 'text', attributes: [['x', '1']], children: ['<b> && &none; \ufffd'] },
      ],
    });
  });

  it.each([
    '',
    'text',
    '<svg>',
    '<svg><g></svg></g>',
    '</svg>',
    '<svg/><svg/>',
    '<html></html>',
    '<!DOCTYPE svg [<!ENTITY a "b">]><svg/>',
    `<svg>${'<g>'.repeat(101)}${'</g>'.repeat(101)}</svg>`,
    `<svg>${'<g/>'.repeat(20_001)}</svg>`,
  ])('that is none is refused: %.40j', (text) => {
    expect(readSvg(text)).toBeNull();
  });

  it('of any text ends in good time', () => {
    const piece = fc.constantFrom(
      '<svg ',
      '<',
      '>',
      '"',
      "'",
      'a="',
      'a=1',
      '/>',
      '</g>',
      '<g>',
      ' ',
      '&#',
      ';',
      '<!--',
      '-->',
      'x'.repeat(50),
      '\n'.repeat(50),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
        const begun = performance.now();
        readSvg(pieces.join(''));
        expect(performance.now() - begun).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
    const begun = performance.now();
    for (const text of [
      `<svg${' a="b"'.repeat(100_000)}`,
      `<svg ${' '.repeat(100_000)}`,
      `<svg ${'a'.repeat(100_000)}`,
      '<!--'.repeat(100_000),
    ]) {
      expect(readSvg(text)).toBeNull();
    }
    expect(performance.now() - begun).toBeLessThan(3000);
  });
});

describe('a ring', () => {
  it('has the newest, whatever its size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 20 }), (items, size) => {
        const ring = new Ring<number>(size);
        for (const item of items) ring.push(item);
        const kept = items.slice(-size);
        expect(Array.from({ length: ring.length }, (_, index) => ring.at(index))).toEqual(kept);
        expect(ring.newest(5)).toEqual([...kept].reverse().slice(0, 5));
        expect(ring.added).toBe(items.length);
      }),
    );
  });
});

describe('the phases of a recording', () => {
  it('are told by steps, which miss none that was shorter than a second', () => {
    const source = new SimulatedSource(machines);
    const recording = new Recording(64 * 1024 * 1024);
    const world = new World();
    const take = (batch: Batch): void => {
      // All but the first facts are missed.
      const frames = batch.frames.filter(({ type }) => type !== 'facts' || world.at === 0);
      recording.add({ ...batch, frames }, JSON.stringify({ ...batch, frames }), world);
      world.apply({ ...batch, frames });
    };
    take(source.greeting());
    source.stop();
    while (!source.ended) take(source.step());
    take(source.step());
    expect(recording.phases.map(({ phase }) => phase)).toEqual([
      'running',
      'announcing',
      'draining',
      'flushing',
      'releasing',
      'stopped',
    ]);
  });
});

describe('a recording of two runs', () => {
  it('knows nothing of the first in the second but what happened, and keeps what is of neither', () => {
    const first = new SimulatedSource(machines, { pid: 1, stuck: 'shard-02' });
    const world = new World();
    world.apply(first.greeting());
    const notes = { parent: null, name: 'notes', machine: null, kind: 'other', status: 'active', value: null } as const;
    const frames = [{ type: 'actor', id: 'notes', since: first.now, ...notes } as const];
    world.apply({ v: 1, seq: 0, at: first.now, dropped: 0, frames });
    first.stop();
    while (!first.ended) world.apply(first.step());
    expect(problemsOf(world).map(({ id }) => id)).toContain('shard-02 abandoned');
    const { added } = world.events;

    const second = new SimulatedSource(machines, { pid: 2, shards: 2, sessions: 3 });
    world.apply(second.greeting());
    for (let step = 0; step < 40; step += 1) world.apply(second.step());
    expect(problemsOf(world)).toEqual([]);
    expect(world.trace.lanes.map(({ id }) => id)).toEqual(['shard-00', 'shard-01']);
    expect([...world.actors.values()].filter(({ gone }) => gone)).toEqual([]);
    expect(world.actors.has('notes')).toBe(true);
    expect(world.actors.size).toBe(1 + 2 + 3 + 3);
    expect(world.events.added).toBeGreaterThan(added);
    second.stop();
    while (!second.ended) world.apply(second.step());
    expect(world.trace.phases[0]?.name).toBe('announcing');
    expect(problemsOf(world)).toEqual([]);
  });
});

describe('a chart that is told before it is drawn', () => {
  it('stays drawn when somebody goes back to that moment', () => {
    const source = new SimulatedSource(machines);
    const greeting = source.greeting();
    const undrawn = greeting.frames.map((frame) => (frame.type === 'machine' ? { ...frame, picture: '' } : frame));
    const recording = new Recording(64 * 1024 * 1024);
    const world = new World();
    for (const batch of [
      { ...greeting, frames: undrawn },
      { ...greeting, at: greeting.at + 1000 },
    ]) {
      recording.add(batch, JSON.stringify(batch), world);
      world.apply(batch);
    }
    const pictures = [...(recording.worldAt(greeting.at)?.world.machines.values() ?? [])].map(({ picture }) => picture);
    expect(pictures).toHaveLength(machines.size);
    expect(pictures.filter((picture) => picture === '')).toEqual([]);
  });
});

describe('ack latency', () => {
  const text = (counts: readonly [string, number][]): string =>
    counts
      .map(([le, count]) => `sluice_shard_ack_latency_seconds_bucket{le="${le}",shard="shard-00"} ${count}`)
      .join('\n');

  it('is that of what was answered between two looks, over all shards', () => {
    const one = bucketsOf(
      text([
        ['0.01', 1000],
        ['0.1', 1000],
        ['+Inf', 1000],
      ]),
    );
    const other = bucketsOf(
      `${text([
        ['0.01', 1000],
        ['0.1', 1050],
        ['+Inf', 1050],
      ])}\n${text([
        ['0.01', 0],
        ['0.1', 50],
        ['+Inf', 50],
      ]).replaceAll('shard-00', 'shard-01')}`,
    );
    if (one === null || other === null) throw new Error('it did not read');
    expect(other.get(0.1)).toBe(1100);
    // A hundred more, all between 10 and 100 ms.
    expect(quantileMs(one, other, 0.99)).toBeCloseTo(10 + 90 * 0.99);
    expect(quantileMs(other, other, 0.99)).toBeNull();
    // Counted anew by another run: no answer rather than a wrong one.
    expect(quantileMs(other, one, 0.99)).toBeNull();
  });

  it('beyond the last bound is at least that bound', () => {
    const none = bucketsOf(
      text([
        ['0.5', 0],
        ['+Inf', 0],
      ]),
    );
    const slow = bucketsOf(
      text([
        ['0.5', 0],
        ['+Inf', 7],
      ]),
    );
    if (none === null || slow === null) throw new Error('it did not read');
    expect(quantileMs(none, slow, 0.99)).toBe(500);
  });

  it('is not known from other text', () => {
    for (const other of ['', 'x', '<html></html>', 'sluice_shard_ack_latency_seconds_bucket{le="x"} 1']) {
      expect(bucketsOf(other)).toBeNull();
    }
  });
});

describe('labels of a chart', () => {
  const box = (x: number, y: number) => ({ x, y, width: 40, height: 10 });

  it('stay where nothing is in their way, and go the shorter way otherwise', () => {
    expect(freeFrom(box(0, 0), [box(100, 0), box(0, 50)])).toBe(0);
    expect(freeFrom(box(0, 6), [box(0, 0)])).toBe(6);
    expect(freeFrom(box(0, -6), [box(0, 0)])).toBe(-6);
    // Past a second one that is in the way of the way out.
    expect(freeFrom(box(0, 2), [box(0, 0), box(0, 14), box(0, -12)])).toBe(24);
  });

  it('stay where everywhere near is taken', () => {
    expect(
      freeFrom(
        box(0, 0),
        Array.from({ length: 30 }, (_, index) => box(0, (index - 15) * 10)),
      ),
    ).toBe(0);
  });
});
