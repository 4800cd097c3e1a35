/**
 * Names and payloads of strangers as text that does no harm: cut to a length, control characters and marks that turn the
 * direction of writing made visible. Whatever a page shows of the network goes through here, and only ever as text.
 */

/** Longest that a name is shown, characters. */
export const NAME_CHARACTERS_MAX = 80;

// Controls, and what would turn the order of the text around it or hide in it.
const unsafe = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** `text` in at most `charactersMax` characters and one line; what was left out is counted. */
export function plainText(text: string, charactersMax = NAME_CHARACTERS_MAX): string {
  // Cut first: a name may have 64 KiB, and be shown ten times a second.
  const left = text.length - charactersMax;
  const cut = left > 0 ? text.slice(0, charactersMax) : text;
  const visible = cut.replace(unsafe, visibleForm);
  return left > 0 ? `${visible}… (${left.toLocaleString('en')} more)` : visible;
}

/** Text of several lines, in at most `charactersMax` characters: new lines and tabs stay. */
export function plainLines(text: string, charactersMax: number): string {
  const left = text.length - charactersMax;
  const cut = left > 0 ? text.slice(0, charactersMax) : text;
  const visible = cut.replace(unsafe, (character) =>
    character === '\n' || character === '\t' ? character : visibleForm(character),
  );
  return left > 0 ? `${visible}\n… (${left.toLocaleString('en')} more characters)` : visible;
}

function visibleForm(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  return `‹${code.toString(16).toUpperCase().padStart(4, '0')}›`;
}
