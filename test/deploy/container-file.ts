/** Reads a Dockerfile into its instructions, and a unit file into its sections: as much as the tests look at. */

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** The stages, each the instructions from its FROM on. Comments go, continued lines are joined. */
export function dockerStages(file: string): Instruction[][] {
  const lines = file.split('\n').filter((line) => !/^\s*#/.test(line));
  const joined = lines.join('\n').replace(/\\\n\s*/g, ' ');
  const stages: Instruction[][] = [];
  for (const line of joined.split('\n')) {
    const match = /^([A-Z]+)\s+(.*)$/.exec(line.trim());
    if (match === null) {
      if (line.trim() !== '') throw new Error(`not an instruction: ${line}`);
      continue;
    }
    const [, name = '', text = ''] = match;
    if (name === 'FROM') stages.push([]);
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`${name} before the first FROM`);
    stage.push({ name, text: text.trim() });
  }
  return stages;
}

/** Every value of a key, by `Section.Key`, in the order of the file. */
export function unitValues(file: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  let section = '';
  for (const line of file.split('\n')) {
    if (/^\s*([#;].*)?$/.test(line)) continue;
    const heading = /^\[(\w+)\]$/.exec(line);
    if (heading !== null) {
      section = heading[1] ?? '';
      continue;
    }
    const match = /^(\w+)=(.*)$/.exec(line);
    if (match === null || section === '') throw new Error(`not a setting: ${line}`);
    const key = `${section}.${match[1]}`;
    values.set(key, [...(values.get(key) ?? []), match[2] ?? '']);
  }
  return values;
}
