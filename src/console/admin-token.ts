/** The token of the admin endpoint, for as long as the tab is open. */
import { signal } from '@preact/signals';

const KEY = 'sluice.token';

export const token = signal(sessionStorage.getItem(KEY) ?? '');

export function setToken(text: string): void {
  token.value = text;
  if (text === '') sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
}

/** Headers of a call that may need it. */
export function authorization(): Record<string, string> {
  return token.value === '' ? {} : { authorization: `Bearer ${token.value}` };
}

/** As the part of a subprotocol: a browser's WebSocket takes no headers. */
export function base64Url(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}
