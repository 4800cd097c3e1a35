import { describe, expect, it } from 'vitest';
import { initialTransition, transition } from 'xstate';
import { SessionChart, type SessionEvent, sessionMachine } from '../../src/machines/session.ts';

const events: SessionEvent[] = [
  { type: 'hello.accepted' },
  { type: 'hello.refused' },
  { type: 'goaway.announce' },
  { type: 'goaway.drain' },
  { type: 'goaway.cancelled' },
  { type: 'close' },
  { type: 'socket.closed', code: 1000, reason: '' },
];

function chartAfter(...types: SessionEvent['type'][]): SessionChart {
  const chart = new SessionChart();
  for (const type of types) chart.send(events.find((event) => event.type === type) as SessionEvent);
  return chart;
}

describe('the chart of a session', () => {
  it('serves and delivers once hello was accepted', () => {
    expect(chartAfter().serving).toBe(true);
    expect(chartAfter().delivering).toBe(false);
    expect(chartAfter('hello.accepted').delivering).toBe(true);
  });

  it('M3: delivers on while a shutdown is announced, not while it drains, and again when that is cancelled', () => {
    expect(chartAfter('hello.accepted', 'goaway.announce').delivering).toBe(true);
    const draining = chartAfter('hello.accepted', 'goaway.announce', 'goaway.drain');
    expect([draining.serving, draining.delivering]).toEqual([true, false]);
    draining.send({ type: 'goaway.cancelled' });
    expect(draining.delivering).toBe(true);
  });

  it('M2: serves nothing once it leaves', () => {
    for (const type of ['close', 'hello.refused'] as const) expect(chartAfter(type).serving).toBe(false);
  });

  it('M1, M4: every state ends with the socket, and no event breaks one', () => {
    const states = new Set<string>();
    const visit = (path: SessionEvent[]): void => {
      const chart = new SessionChart();
      for (const event of path) chart.send(event);
      states.add(chart.value);
      expect(chart.snapshot.status).not.toBe('error');
      const ended = new SessionChart();
      for (const event of path) ended.send(event);
      ended.send({ type: 'socket.closed', code: 1006, reason: '' });
      expect(ended.value).toBe('closed');
      if (path.length < 4) for (const event of events) visit([...path, event]);
    };
    visit([]);
    expect([...states].sort()).toEqual(Object.keys(sessionMachine.states).sort());
  });

  it('M5: a drain that comes before hello is kept, and forgotten when it is cancelled', () => {
    const late = chartAfter('goaway.drain');
    expect([late.value, late.serving]).toEqual(['handshaking', true]);
    late.send({ type: 'hello.accepted' });
    expect([late.value, late.delivering]).toEqual(['draining', false]);
    expect(chartAfter('goaway.drain', 'goaway.cancelled', 'hello.accepted').value).toBe('ready');
  });

  it('computes each step once, for all sessions, and as XState would', () => {
    const path = ['hello.accepted', 'goaway.drain', 'goaway.cancelled', 'close'] as const;
    const charts = [chartAfter(), chartAfter()];
    let [plain] = initialTransition(sessionMachine);
    for (const type of path) {
      for (const chart of charts) chart.send({ type });
      [plain] = transition(sessionMachine, plain, { type });
      expect(charts[0]?.snapshot).toBe(charts[1]?.snapshot);
      expect(charts[0]?.snapshot.value).toEqual(plain.value);
    }
  });

  it('has one snapshot per state, by whichever way it came there: steps are not kept for ever', () => {
    const chart = chartAfter('hello.accepted');
    const ready = chart.snapshot;
    for (const type of ['goaway.drain', 'goaway.cancelled', 'goaway.announce', 'goaway.cancelled'] as const) {
      chart.send({ type });
    }
    expect(chart.snapshot).toBe(ready);
    expect(chartAfter('goaway.drain', 'goaway.cancelled').snapshot).toBe(chartAfter().snapshot);
  });

  it('tells whether an event changed anything', () => {
    const chart = new SessionChart();
    expect(chart.send({ type: 'close' })).toBe(true);
    expect(chart.send({ type: 'close' })).toBe(false);
    expect(chart.send({ type: 'hello.accepted' })).toBe(false);
  });
});
