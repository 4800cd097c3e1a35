/** Tables for people: columns aligned by width, numbers to the right. Data for programs is JSON, never these. */

export type Cell = string | number | null;

/** Lines of a table with a heading; an empty table is its heading alone. */
export function tableText(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => heading.map((_, column) => cellText(row[column] ?? null)));
  const widths = heading.map((title, column) =>
    texts.reduce((widest, row) => Math.max(widest, (row[column] ?? '').length), title.length),
  );
  const right = heading.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof (row[column] ?? 0) === 'number'),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return right[column] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return `${[line(heading.map((title) => title.toUpperCase())), ...texts.map(line)].join('\n')}\n`;
}

function cellText(cell: Cell): string {
  if (cell === null) return '-';
  return typeof cell === 'number' ? cell.toLocaleString('en-US', { maximumFractionDigits: 3 }) : cell;
}

/** Bytes for a glance, three digits: `1.23 MB`. */
export function roughBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}

/** A duration for a glance: `850 ms`, `12.3 s`, `4 min 5 s`. */
export function roughMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function countText(count: number): string {
  return count.toLocaleString('en-US');
}
