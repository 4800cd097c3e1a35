/**
 * Data directories that cannot be one: the start is refused with a code and a message that says why, with exit code 1,
 * and nothing in them is touched.
 */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokerRig } from '../support/broker-rig.ts';
import { recordsOf, Wire } from '../support/wire.ts';

const { folder, start, spawn, cleanup } = brokerRig();

/** Permissions are nothing to root; without these two rights they are. Empty where nobody is root; null where it fails. */
function withoutOverride(): readonly string[] | null {
  if (process.getuid?.() !== 0) return [];
  const dropped = '-dac_override,-dac_read_search';
  const command = ['setpriv', `--bounding-set=${dropped}`, `--inh-caps=${dropped}`];
  const tried = spawnSync(command[0] as string, [...command.slice(1), 'true']);
  if (tried.status === 0) return command;
  console.warn('skipped: a read-only directory, since root may write anywhere and setpriv cannot take that right away');
  return null;
}
const unprivileged = withoutOverride();

async function refusal(data: string, prefix: readonly string[] = []): Promise<string> {
  const broker = spawn({ data, prefix });
  expect(await broker.exited).toEqual({ code: 1, signal: null });
  expect(broker.lines.filter(({ msg }) => msg === 'listening' || msg === 'running')).toEqual([]);
  return broker.stderr;
}

describe('a data directory', { timeout: 60_000 }, () => {
  it('is refused when it is a file, and the file is kept', async () => {
    const data = join(await folder(), 'file');
    await writeFile(data, 'mine');
    const said = await refusal(data);
    expect(said).toContain('DATA_DIR_INVALID');
    expect(said).toContain(`${data} is a file, not a directory`);
    expect(await readFile(data, 'utf8')).toBe('mine');
  });

  it('is refused when it lies below a file', async () => {
    const file = join(await folder(), 'file');
    await writeFile(file, 'mine');
    expect(await refusal(join(file, 'data'))).toContain('DATA_DIR_INVALID');
  });

  it.skipIf(unprivileged === null)('is refused when it may not be written', async () => {
    const data = join(await folder(), 'data');
    await mkdir(data);
    await chmod(data, 0o555);
    const said = await refusal(data, unprivileged ?? []);
    expect(said).toContain('DATA_DIR_INVALID');
    expect(said).toContain(data);
    expect(said).toMatch(/permission denied/i);
    expect(await readdir(data)).toEqual([]);
  });

  it.skipIf(unprivileged === null)('is refused when it may not be made', async () => {
    const parent = await folder();
    await chmod(parent, 0o555);
    cleanup(() => chmod(parent, 0o755));
    const said = await refusal(join(parent, 'data'), unprivileged ?? []);
    expect(said).toContain('DATA_DIR_INVALID');
    expect(said).toContain('permission denied');
  });

  it.skipIf(unprivileged === null)(
    'is refused when it has become read-only since, and serves when it is not',
    async () => {
      const data = await folder();
      const first = await start({ data });
      const wire = await Wire.open(first.url);
      await wire.ask({ op: 'publish', topic: 'a', partition: 0, value: 1 });
      expect((await first.stop()).code).toBe(0);
      await chmod(data, 0o555);
      cleanup(() => chmod(data, 0o755));
      const said = await refusal(data, unprivileged ?? []);
      expect(said).toContain('DATA_DIR_INVALID');
      expect(said).toContain(data);
      await chmod(data, 0o755);
      const again = await start({ data });
      expect(await recordsOf(again.url, 'a')).toMatchObject([{ value: 1 }]);
      expect((await again.stop()).code).toBe(0);
    },
  );

  it('is refused when a newer version wrote it, and left as it is', async () => {
    const data = await folder();
    const first = await start({ data });
    expect((await first.stop()).code).toBe(0);
    const path = join(data, 'sluice.json');
    const newer = JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), format: 99, more: 'of it' });
    await writeFile(path, newer);
    const said = await refusal(data);
    expect(said).toContain('DATA_DIR_VERSION');
    expect(said).toContain('99');
    expect(await readFile(path, 'utf8')).toBe(newer);
  });

  it.each([
    ['half of it', '{"format":1,"sha'],
    ['nothing', ''],
    ['something else', '{"name":"other"}'],
  ])('is refused when its sluice.json holds %s', async (_, text) => {
    const data = await folder();
    await writeFile(join(data, 'sluice.json'), text);
    expect(await refusal(data)).toContain('DATA_DIR_INVALID');
    expect(await readFile(join(data, 'sluice.json'), 'utf8')).toBe(text);
  });

  it("is refused when it holds someone's files, names one, and adds none", async () => {
    const data = await folder();
    await writeFile(join(data, 'thesis.txt'), 'precious');
    await mkdir(join(data, 'shards'));
    const said = await refusal(data);
    expect(said).toContain('DATA_DIR_INVALID');
    expect(said).toContain('thesis.txt');
    expect((await readdir(data)).sort()).toEqual(['shards', 'thesis.txt']);
  });

  it('may be missing, several levels deep, or hold what a file system leaves behind', async () => {
    const parent = await folder();
    const deep = await start({ data: join(parent, 'a', 'b c', 'ü') });
    expect((await deep.stop()).code).toBe(0);
    const mounted = await folder();
    await mkdir(join(mounted, 'lost+found'));
    const other = await start({ data: mounted });
    expect((await other.stop()).code).toBe(0);
  });
});
