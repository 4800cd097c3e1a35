/**
 * The values that clients of the simulation publish. Each names itself and proves that it is whole, so that a checker
 * knows a record by its value alone: `id:bytes:` and a filling that follows from the id.
 */

const filling = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(2);

/** The value of a record; at least as long as its id needs. `bytes` is its whole length. */
export function payloadOf(id: string, bytes: number): string {
  const head = `${id}:${bytes}:`;
  const shift = shiftOf(id);
  const period = filling.slice(shift, shift + 36);
  const missing = Math.max(0, bytes - head.length);
  return head + period.repeat(Math.ceil(missing / 36)).slice(0, missing);
}

/** The id of the record that a value is, or null when it is not whole. */
export function idOf(value: string): string | null {
  const first = value.indexOf(':');
  const second = value.indexOf(':', first + 1);
  if (first < 1 || second < 0) return null;
  const id = value.slice(0, first);
  return payloadOf(id, Number(value.slice(first + 1, second))) === value ? id : null;
}

function shiftOf(id: string): number {
  let sum = 0;
  for (let at = 0; at < id.length; at += 1) sum = (sum * 31 + id.charCodeAt(at)) % 36;
  return sum;
}
