/**
 * Who may ask an endpoint of this machine: requests of foreign pages and to foreign names are told apart from the rest,
 * and secrets are compared. Pure; used by the admin endpoint and by the page servers.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/**
 * Why a request is a foreign page's; null when it is none. `bound` is the address that the endpoint listens on. A page
 * that made a name of its own point here (DNS rebinding) sends that name as Host; a page without an origin of its own
 * (`null`: a file, a frame in a sandbox) is foreign too.
 */
export function foreignRequest({ headers }: IncomingMessage, bound: string): string | null {
  const { host, origin } = headers;
  if (!knownHost(host, bound)) return `the Host ${JSON.stringify(host ?? '').slice(0, 100)} is none of this endpoint`;
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) {
    return `pages of ${origin.slice(0, 100)} may not call this endpoint`;
  }
  return null;
}

function knownHost(header: string | undefined, bound: string): boolean {
  if (header === undefined || !URL.canParse(`http://${header}`)) return false;
  const name = new URL(`http://${header}`).hostname.replace(/^\[|\]$/g, '');
  return name === 'localhost' || name === bound || isIP(name) !== 0;
}

/** True for an address that only this machine reaches. A name other than `localhost` may resolve to anything. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 4) return address.startsWith('127.');
  return address === '::1' || /^(::ffff:)127\./i.test(address) || address.toLowerCase() === 'localhost';
}

export const TOKEN_REQUIRED = 'a token is required: Authorization: Bearer …';

/** Whether a request's `Authorization` header carries the token; any does where there is none. */
export function knowsToken(authorization: string | undefined, token: string): boolean {
  return token === '' || sameSecret(authorization, `Bearer ${token}`);
}

/** Compares what was given with a secret, in a time that says nothing about where they differ. */
export function sameSecret(given: string | undefined, expected: string): boolean {
  const a = Buffer.from(given ?? '');
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
