/**
 * Reads a drawn chart as text: the elements, attributes and words listed here, and nothing of any other. A scanner of its
 * own, since a browser's parser makes real elements of whatever it reads, handlers and styles included. Pure.
 */

export interface SvgElement {
  readonly name: string;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly children: (SvgElement | string)[];
}

const elements = new Set([
  'svg',
  'g',
  'path',
  'polygon',
  'polyline',
  'ellipse',
  'circle',
  'rect',
  'line',
  'text',
  'tspan',
]);
/** Numbers, lists of numbers and path data. */
const geometry = new Set(
  'd points x y x1 y1 x2 y2 cx cy r rx ry dx dy width height viewBox transform font-size stroke-width stroke-dasharray'.split(
    ' ',
  ),
);
const geometryPattern = /^[-+\d.,\sa-zA-Z()]*$/;
const words: Readonly<Record<string, RegExp>> = {
  class: /^[\w\- ]*$/,
  'text-anchor': /^(start|middle|end)$/,
  'font-weight': /^(normal|bold|\d+)$/,
  'font-style': /^(normal|italic)$/,
  'text-decoration': /^(none|underline)$/,
  // Colours are those of the page; only that something has none is the picture's to say.
  fill: /^(none|transparent)$/,
  stroke: /^(none|transparent)$/,
};
const marks = new Set(['data-state', 'data-edge']);

/** Elements of the largest chart that is drawn, their depth, and characters of one text or mark within it. */
const ELEMENTS_MAX = 20_000;
const DEPTH_MAX = 100;
const TEXT_MAX = 500;
const PICTURE_CHARACTERS_MAX = 4 * 1024 * 1024;

const token =
  /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!DOCTYPE[^>[]*>|<\/([\w:-]+)\s*>|<([\w:-]+)((?:\s+[\w:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/gy;
const attribute = /([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/** Null when the text is no SVG, is not whole, or is too large. */
export function readSvg(picture: string): SvgElement | null {
  if (picture.length > PICTURE_CHARACTERS_MAX) return null;
  const root: SvgElement = { name: '', attributes: [], children: [] };
  /** Those that are open; null for one that is left out with all that is in it. */
  const open: { readonly name: string; readonly element: SvgElement | null }[] = [{ name: '', element: root }];
  let count = 0;
  token.lastIndex = 0;
  while (token.lastIndex < picture.length) {
    const match = token.exec(picture);
    if (match === null) return null;
    const [whole, closed, opened, given = '', alone] = match;
    const within = open.at(-1)?.element ?? null;
    if (closed !== undefined) {
      if (open.length < 2 || open.pop()?.name !== closed) return null;
    } else if (opened !== undefined) {
      count += 1;
      if (count > ELEMENTS_MAX || open.length > DEPTH_MAX) return null;
      const isTaken = within !== null && elements.has(opened);
      const element = isTaken ? { name: opened, attributes: attributesOf(given), children: [] } : null;
      if (element !== null) within?.children.push(element);
      if (alone === '') open.push({ name: opened, element });
    } else if (within !== null && (within.name === 'text' || within.name === 'tspan') && !whole.startsWith('<')) {
      within.children.push(plain(whole).slice(0, TEXT_MAX));
    }
  }
  const [svg] = root.children;
  const isWhole = open.length === 1 && root.children.length === 1;
  return isWhole && typeof svg === 'object' && svg.name === 'svg' ? svg : null;
}

function attributesOf(text: string): (readonly [string, string])[] {
  return [...text.matchAll(attribute)]
    .map(([, name = '', double, single]) => [name, plain(double ?? single ?? '')] as const)
    .filter(([name, value]) => isTaken(name, value));
}

function isTaken(name: string, value: string): boolean {
  if (geometry.has(name)) return geometryPattern.test(value) && !value.includes('url');
  if (marks.has(name)) return value.length <= TEXT_MAX;
  return Object.hasOwn(words, name) && words[name]?.test(value) === true;
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function plain(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{1,8}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(named, name) ? (named[name] ?? whole) : whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  });
}
