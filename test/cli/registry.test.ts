import { describe, expect, it } from 'vitest';
import { commands, runCommandLine } from '../../src/cli/registry.ts';
import { packageVersion } from '../../src/cli/version.ts';
import { settings } from '../../src/config.ts';
import { flagOf, settingNames, variableOf } from '../../src/config-name.ts';
import { fakeTerminal } from './fake-terminal.ts';

async function run(...argv: string[]) {
  const terminal = fakeTerminal();
  const code = await runCommandLine(argv, terminal);
  await terminal.stdout.finish();
  await terminal.stderr.finish();
  return { code, out: terminal.out.bytes.toString(), err: terminal.err.bytes.toString() };
}

describe('sluice', () => {
  it.each([[[]], [['help']], [['--help']], [['-h']]])('lists every command for %j', async (argv) => {
    const { code, out, err } = await run(...argv);
    expect([code, err]).toEqual([0, '']);
    for (const { name, summary } of commands) expect(out).toMatch(new RegExp(`^ {2}${name} +${summary}$`, 'm'));
  });

  it('says what runs here', async () => {
    for (const argv of [['version'], ['--version']]) {
      const { code, out } = await run(...argv);
      expect(code).toBe(0);
      expect(out).toBe(
        `sluice ${packageVersion()}\nnode ${process.version}\nplatform ${process.platform} ${process.arch}\ndata format 1\n`,
      );
    }
  });

  it('asks back for a command that it does not know', async () => {
    expect(await run('pubish', 'x')).toEqual({
      code: 2,
      out: '',
      err: 'sluice: USAGE: "pubish" is no command; did you mean publish?\n`sluice help` lists the commands.\n',
    });
    expect((await run('help', 'stat')).code).toBe(2);
  });

  it.each(commands.map(({ name }) => [name]))(
    '%s --help has its flags, exit codes and examples, 100 columns wide',
    async (name) => {
      const { code, out, err } = await run(name, '--help');
      expect([code, err]).toEqual([0, '']);
      expect((await run('help', name)).out).toBe(out);
      const command = commands.find((known) => known.name === name);
      expect(out.startsWith(`Usage: sluice ${name}`)).toBe(true);
      for (const flag of Object.keys(command?.flags ?? {})) expect(out).toMatch(new RegExp(`^ {2}--${flag}\\b`, 'm'));
      for (const [exit] of command?.exits ?? []) expect(out).toMatch(new RegExp(`^ {2}${exit} +\\w`, 'm'));
      const wide = out.split('\n').filter((line) => line.length > 100 && !line.startsWith('  sluice'));
      expect(wide).toEqual([]);
    },
  );

  it('serve --help has every setting with its variable, default and reason', async () => {
    const out = (await run('serve', '--help')).out.replace(/\s+/g, ' ');
    for (const name of settingNames) {
      expect(out).toContain(` ${flagOf(name)}`);
      expect(out).toContain(`Variable ${variableOf(name)}.`);
      expect(out).toContain(settings[name].text);
      expect(out).toContain(settings[name].reason);
    }
  });

  it('does not take a flag behind -- for one of its own', async () => {
    const { code, err } = await run('verify', '--', '--help', 'more');
    expect(code).toBe(2);
    expect(err).toContain('"more": one argument too many');
  });

  it.each([
    [['publish'], /^sluice publish: USAGE: <topic> is missing\n/],
    [['publish', 'a..b'], /USAGE: a topic name is made of/],
    [['publish', 't', '--resume'], /USAGE: --resume needs the --producer id/],
    [['publish', 't', '--key-from', 'file'], /USAGE: --key-from file: standard input has no path/],
    [['publish', 't', 'f', '--key', 'k', '--key-from', 'file'], /exclude each other/],
    [['publish', 't', '--header', 'x'], /--header: got "x"; expected NAME=VALUE/],
    [['publish', 't', '--partitions', '0'], /--partitions: got "0"; expected a whole number, from 1 to 1024/],
    [['subscribe', 't', '--from', 'first'], /--from: got "first"; expected earliest, latest/],
    [['subscribe', 't', '--from', 'committed'], /--from committed needs a --group/],
    [['subscribe', 't', '--commit'], /--commit needs a --group/],
    [['subscribe', 't', '--partition', '1024'], /--partition: got "1024"; expected a whole number from 0 to 1023/],
    [['topics', 'lst'], /"lst": expected one of list, create, describe, delete; did you mean list\?/],
    [['topics', 'create'], /create: <topic> is missing/],
    [['topics', 'delete', 't', '--partitions', '3'], /--partitions goes with create, not with delete/],
    [['topics', 'list', 't'], /list takes no topic/],
    [['status', 'x'], /"x": one argument too many/],
    [['stop', '--wiat'], /--wiat: no such flag; did you mean --wait\?/],
    [['inspect-log'], /<dir> is missing/],
  ])('%j is a usage error: exit 2, nothing on standard output', async (argv, message) => {
    const { code, out, err } = await run(...argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
    expect(err).toMatch(/` shows what it takes\.\n$/);
  });

  it('names an input that is not there before it connects', async () => {
    const { code, err } = await run('publish', 't', '/no/such/file');
    expect(code).toBe(1);
    expect(err).toMatch(/^sluice publish: BAD_INPUT: ENOENT.*\/no\/such\/file/);
  });

  it('serve names wrong settings with exit 1', async () => {
    const { code, err } = await run('serve', '--prot', '1', '--shards', '0');
    expect(code).toBe(1);
    expect(err).toMatch(/^sluice serve: CONFIG_INVALID: 2 settings are wrong\n {2}--prot: .*\n {2}--shards: /);
  });
});
