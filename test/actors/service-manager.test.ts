import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { followProgress, type Spawn, serviceManager } from '../../src/actors/service-manager.ts';
import { RecordingLogger } from '../../src/testing/recording-logger.ts';
import { SimulatedClock } from '../../src/testing/simulated-clock.ts';

class FakeProcess extends EventEmitter {
  readonly killedBy: string[] = [];
  unreferenced = false;

  kill(signal: string): boolean {
    this.killedBy.push(signal);
    return true;
  }

  unref(): void {
    this.unreferenced = true;
  }
}

interface Run {
  readonly command: string;
  readonly fields: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly process: FakeProcess;
}

function rig(environment: Readonly<Record<string, string>> = { NOTIFY_SOCKET: '/run/notify', PATH: '/usr/bin' }) {
  const runs: Run[] = [];
  const logger = new RecordingLogger();
  const clock = new SimulatedClock();
  const spawn: Spawn = (command, fields, { env }) => {
    const process = new FakeProcess();
    runs.push({ command, fields, env, process });
    return process;
  };
  const manager = serviceManager({ environment, spawn, logger, clock });
  const finish = (index: number, code = 0): void => {
    runs[index]?.process.emit('exit', code, null);
  };
  const sent = (): (readonly string[])[] => runs.map(({ fields }) => fields);
  return { manager, runs, logger, clock, finish, sent };
}

describe('the service manager', () => {
  it('sends nothing where no socket is set', () => {
    const { manager, runs } = rig({ PATH: '/usr/bin' });
    manager.ready();
    manager.stopping('bye');
    manager.status('on it');
    manager.extend(1000);
    expect(runs).toEqual([]);
  });

  it('runs systemd-notify with the socket and the path alone, and does not stay for it', () => {
    const { manager, runs } = rig({ NOTIFY_SOCKET: '@abstract', PATH: '/bin', SLUICE_TOKEN: 'secret' });
    manager.ready();
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({ command: 'systemd-notify', env: { NOTIFY_SOCKET: '@abstract', PATH: '/bin' } });
    expect(Object.keys(runs[0]?.env ?? {})).not.toContain('SLUICE_TOKEN');
    expect(runs[0]?.process.unreferenced).toBe(true);
  });

  it('says each thing in the words of sd_notify', () => {
    const { manager, finish, sent } = rig();
    manager.ready();
    finish(0);
    manager.stopping('draining, 2 shards');
    finish(1);
    manager.status('flushing');
    finish(2);
    manager.extend(1500.4);
    expect(sent()).toEqual([
      ['READY=1'],
      ['STOPPING=1', 'STATUS=draining, 2 shards'],
      ['STATUS=flushing'],
      ['EXTEND_TIMEOUT_USEC=1500400'],
    ]);
  });

  it('runs one at a time and merges what comes meanwhile into one message', () => {
    const { manager, finish, sent } = rig();
    manager.ready();
    for (let at = 0; at < 1000; at += 1) manager.status(`shard ${at}`);
    manager.extend(2000);
    expect(sent()).toHaveLength(1);
    finish(0);
    expect(sent()).toEqual([['READY=1'], ['STATUS=shard 999', 'EXTEND_TIMEOUT_USEC=2000000']]);
    finish(1);
    expect(sent()).toHaveLength(2);
  });

  it('keeps a status on its line and short', () => {
    const { manager, sent } = rig();
    manager.status(`a\nMAINPID=1\r\n${'x'.repeat(500)}`);
    const [field] = sent()[0] ?? [];
    expect(field).toMatch(/^STATUS=a MAINPID=1 x+$/);
    expect(field?.length).toBe('STATUS='.length + 200);
  });

  it('never asks for an endless time', () => {
    const { manager, runs } = rig();
    for (const ms of [Number.POSITIVE_INFINITY, Number.NaN, 0, -1]) manager.extend(ms);
    expect(runs).toEqual([]);
  });

  it('kills one that takes longer than a second and sends what waited', async () => {
    const { manager, runs, clock, logger, sent } = rig();
    manager.ready();
    manager.status('running');
    await clock.advance(999);
    expect(runs[0]?.process.killedBy).toEqual([]);
    await clock.advance(1);
    expect(runs[0]?.process.killedBy).toEqual(['SIGKILL']);
    expect(sent()).toEqual([['READY=1'], ['STATUS=running']]);
    expect(logger.messages('warn')).toHaveLength(1);
    // The end of the one that was given up is no end of the one that runs now.
    runs[0]?.process.emit('exit', null, 'SIGKILL');
    manager.status('later');
    expect(runs).toHaveLength(2);
  });

  it('logs the first failure alone and goes on', () => {
    const { manager, runs, logger, finish } = rig();
    manager.ready();
    runs[0]?.process.emit('error', new Error('spawn systemd-notify ENOENT'));
    manager.status('still here');
    finish(1, 1);
    manager.status('and here');
    expect(runs).toHaveLength(3);
    expect(logger.messages()).toHaveLength(1);
    expect(logger.lines[0]).toMatchObject({ level: 'warn', fields: { why: 'spawn systemd-notify ENOENT' } });
  });

  it('survives a spawn that throws', () => {
    const logger = new RecordingLogger();
    let asked = 0;
    const manager = serviceManager({
      environment: { NOTIFY_SOCKET: '/run/notify' },
      spawn: () => {
        asked += 1;
        throw new Error('EMFILE');
      },
      logger,
      clock: new SimulatedClock(),
    });
    manager.ready();
    manager.status('again');
    expect(asked).toBe(2);
    expect(logger.messages('warn')).toHaveLength(1);
  });

  it('leaves no timer and no process behind its close', () => {
    const { manager, runs, clock, logger } = rig();
    manager.ready();
    manager.status('waits');
    manager.close();
    runs[0]?.process.emit('exit', null, 'SIGKILL');
    manager.status('too late');
    expect(runs).toHaveLength(1);
    expect(runs[0]?.process.killedBy).toEqual(['SIGKILL']);
    expect(clock.pending).toBe(0);
    expect(logger.lines).toEqual([]);
  });
});

describe('following progress', () => {
  it('asks for time while there is progress, and no longer', async () => {
    const clock = new SimulatedClock();
    const told: string[] = [];
    const shown = { status: 'flushing', progress: '10 bytes' };
    const end = followProgress({
      manager: {
        ready: () => {},
        stopping: () => {},
        close: () => {},
        status: (text) => told.push(text),
        extend: (ms) => told.push(`+${ms}`),
      },
      clock,
      look: () => ({ ...shown }),
    });
    expect(told).toEqual(['flushing', '+10000']);
    await clock.advance(1000);
    expect(told).toHaveLength(2);
    shown.progress = '5 bytes';
    await clock.advance(1000);
    expect(told).toEqual(['flushing', '+10000', '+10000']);
    // Hangs from here on: a new status is shown, and no time asked for.
    shown.status = 'stalled';
    await clock.advance(60_000);
    expect(told).toEqual(['flushing', '+10000', '+10000', 'stalled']);
    end();
    expect(clock.pending).toBe(0);
  });
});
