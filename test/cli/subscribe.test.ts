import { describe, expect, it } from 'vitest';
import { runCommandLine } from '../../src/cli/registry.ts';
import { FakeBroker } from './fake-broker.ts';
import { fakeTerminal } from './fake-terminal.ts';

function start(broker: FakeBroker, ...argv: string[]) {
  const terminal = fakeTerminal({ WebSocket: broker.WebSocket });
  const ended = runCommandLine(argv, terminal).then(async (code) => {
    await terminal.stdout.finish();
    await terminal.stderr.finish();
    return { code, err: terminal.err.bytes.toString(), out: terminal.out.bytes.toString() };
  });
  return { terminal, ended };
}

const run = (broker: FakeBroker, ...argv: string[]) => start(broker, ...argv).ended;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

function seeded(...partitions: string[][]): FakeBroker {
  const broker = new FakeBroker();
  broker.seed('t', partitions);
  return broker;
}

describe('sluice subscribe', () => {
  it('prints everything up to the end and ends', async () => {
    const values = Array.from({ length: 100 }, (_, index) => `${index}`);
    const { code, out, err } = await run(seeded(values), 'subscribe', 't', '--from', 'earliest', '--until-end');
    expect([code, err]).toEqual([0, '']);
    expect(out).toBe(values.map((value) => `${value}\n`).join(''));
  });

  it('ends at once where there is nothing up to the end', async () => {
    expect(await run(seeded([], []), 'subscribe', 't', '--from', 'earliest', '--until-end')).toMatchObject({
      code: 0,
      out: '',
    });
    expect(await run(seeded(['a']), 'subscribe', 't', '--until-end')).toMatchObject({ code: 0, out: '' });
  });

  it('prints no more than --count', async () => {
    const { code, out } = await run(
      seeded(['a', 'b', 'c', 'd', 'e']),
      'subscribe',
      't',
      '--from',
      'earliest',
      '--count',
      '4',
    );
    expect([code, out]).toEqual([0, 'a\nb\nc\nd\n']);
  });

  it('prints only the partitions asked for, as JSON lines', async () => {
    const argv = ['subscribe', 't', '--from', 'earliest', '--until-end', '--partition', '1', '--format', 'jsonl'];
    const { out } = await run(seeded(['a'], ['b']), ...argv);
    expect(out).toBe('{"topic":"t","partition":1,"offset":0,"epoch":1,"time":1000,"value":"b","encoding":"utf8"}\n');
  });

  it('goes on where it was after a lost connection', async () => {
    const broker = seeded(['a', 'b']);
    const { terminal, ended } = start(broker, 'subscribe', 't', '--from', 'earliest', '--count', '3');
    await until(() => terminal.out.bytes.toString() === 'a\nb\n');
    broker.cut();
    await until(() => broker.connections.length === 1);
    broker.seed('t', [['a', 'b', 'c']]);
    expect(await ended).toMatchObject({ code: 0, out: 'a\nb\nc\n' });
  });

  it('tells of records that retention took, and counts them for the end', async () => {
    const broker = seeded(['a', 'b', 'c']);
    broker.logStart = 2;
    const { code, out, err } = await run(broker, 'subscribe', 't', '--from', 'earliest', '--until-end');
    expect([code, out]).toEqual([0, 'c\n']);
    expect(err).toBe('t partition 0: records 0 to 1 cannot be given: retention took them\n');
  });

  it('ends when a gap takes all that was left', async () => {
    const broker = seeded(['a', 'b', 'c']);
    broker.logStart = 3;
    const { code, out } = await run(broker, 'subscribe', 't', '--from', 'earliest', '--until-end');
    expect([code, out]).toEqual([0, '']);
  });

  it('commits what was printed, and nothing before', async () => {
    const broker = seeded(['a', 'b', 'c'], ['d']);
    const argv = ['subscribe', 't', '--from', 'earliest', '--group', 'g', '--commit', '--until-end'];
    expect((await run(broker, ...argv)).code).toBe(0);
    expect([...broker.committed].sort()).toEqual([
      ['0', 3],
      ['1', 1],
    ]);
    const counted = seeded(['a', 'b', 'c']);
    await run(counted, 'subscribe', 't', '--from', 'earliest', '--group', 'g', '--commit', '--count', '1');
    expect([...counted.committed]).toEqual([['0', 1]]);
  });

  it('resumes from what was committed', async () => {
    const broker = seeded(['a', 'b', 'c']);
    broker.committed.set('0', 2);
    expect((await run(broker, 'subscribe', 't', '--group', 'g', '--until-end')).out).toBe('c\n');
  });

  it('names a topic that is not there', async () => {
    const { code, err } = await run(new FakeBroker(), 'subscribe', 'none', '--until-end');
    expect(code).toBe(1);
    expect(err).toMatch(/^sluice subscribe: UNKNOWN_TOPIC: .*\nMake it with `sluice topics create NAME`/);
  });

  it('takes Ctrl-C for its ordinary end, and commits what was printed first', async () => {
    const broker = seeded(['a', 'b']);
    const { terminal, ended } = start(broker, 'subscribe', 't', '--from', 'earliest', '--group', 'g', '--commit');
    await until(() => terminal.out.bytes.toString() === 'a\nb\n');
    terminal.signal('SIGINT');
    expect((await ended).code).toBe(0);
    expect([...broker.committed]).toEqual([['0', 2]]);
  });

  it('finishes the batch that it is at when Ctrl-C comes, and commits it', async () => {
    const broker = seeded(['a', 'b']);
    const { terminal, ended } = start(broker, 'subscribe', 't', '--from', 'earliest', '--group', 'g', '--commit');
    const take = terminal.out._write.bind(terminal.out);
    let release = (): void => {};
    terminal.out._write = (chunk, encoding, callback) => {
      release = () => take(chunk, encoding, callback);
    };
    let writing = false;
    await until(() => {
      writing ||= terminal.out.writableLength > 0;
      return writing;
    });
    terminal.signal('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 20));
    terminal.out._write = take;
    release();
    expect(await ended).toMatchObject({ code: 0, out: 'a\nb\n' });
    expect([...broker.committed]).toEqual([['0', 2]]);
  });

  it('ends with 130 when Ctrl-C comes before the count', async () => {
    const { terminal, ended } = start(seeded(['a']), 'subscribe', 't', '--from', 'earliest', '--count', '2');
    await until(() => terminal.out.bytes.length > 0);
    terminal.signal('SIGINT');
    expect((await ended).code).toBe(130);
  });

  it('ends with 0 when its reader has gone, and does not commit what was not taken', async () => {
    const broker = seeded(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    const argv = ['subscribe', 't', '--from', 'earliest', '--group', 'g', '--commit'];
    const { terminal, ended } = start(broker, ...argv);
    terminal.out._write = (_chunk, _encoding, callback: (error?: Error) => void) =>
      callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    expect((await ended).code).toBe(0);
    expect([...broker.committed]).toEqual([]);
  });
});

describe('sluice topics', () => {
  it('lists, creates, describes and deletes', async () => {
    const broker = seeded(['a', 'b'], []);
    expect((await run(broker, 'topics', 'create', 'b', '--partitions', '3')).code).toBe(0);
    expect(await run(broker, 'topics')).toMatchObject({
      code: 0,
      out: [
        'TOPIC  PARTITIONS  DURABILITY  KEPT FOR  KEPT UP TO',
        'b               3  sync        ever      1GiB',
        't               2  sync        ever      1GiB',
        '',
      ].join('\n'),
    });
    const described = await run(broker, 'topics', 'describe', 't', '--json');
    expect(JSON.parse(described.out)).toMatchObject({ topic: 't', partitions: 2, state: [{ highWatermark: 2 }, {}] });
    expect((await run(broker, 'topics', 'describe', 't')).out).toMatch(/PARTITION {2}EPOCH {2}START {2}HIGH WATERMARK/);
    expect(await run(broker, 'topics', 'delete', 't')).toMatchObject({ code: 0, out: 'deleted t\n' });
    expect((await run(broker, 'topics', 'delete', 't')).err).toMatch(/^sluice topics: UNKNOWN_TOPIC/);
    expect((await run(broker, 'topics', 'create', 'b', '--partitions', '4')).err).toMatch(/TOPIC_EXISTS/);
  });
});
