/**
 * Who may become a connection: the checks of an upgrade request, before any of it reaches the WebSocket code. Pure;
 * called by the WebSocket listener and by the in-memory network, so that both refuse alike.
 */

export const SUBPROTOCOL = 'sluice.v1';

/** The parts of an upgrade request that are looked at. */
export interface UpgradeRequest {
  /** Path and query. */
  readonly url: string;
  /** `Host` header. */
  readonly host: string | undefined;
  /** `Origin` header; browsers always send one. */
  readonly origin: string | undefined;
  /** `Sec-WebSocket-Protocol` header. */
  readonly subprotocols: string | undefined;
}

export interface UpgradePolicy {
  readonly path: string;
  /** Origins allowed besides the same host; `*` allows any. */
  readonly origins: readonly string[];
  /** The listener is bound to this machine alone. */
  readonly loopback: boolean;
}

/** An HTTP answer that ends the request: a status and a line for whoever reads it. */
export interface Refusal {
  readonly status: number;
  readonly line: string;
}

/** The refusal that an upgrade request gets; null when it may go on. */
export function upgradeRefusal(request: UpgradeRequest, policy: UpgradePolicy): Refusal | null {
  const path = pathOf(request.url);
  if (path !== policy.path) {
    return { status: 404, line: `Nothing is served at ${path.slice(0, 100)}; connect to ${policy.path}` };
  }
  if (!originAllowed(request, policy)) {
    const origin = (request.origin ?? '').slice(0, 200);
    return {
      status: 403,
      line: `Pages of origin ${origin} may not connect; add it to the setting "origins" (--origins) to allow them`,
    };
  }
  const offered = offersOf(request.subprotocols);
  if (offered.length > 0 && !offered.includes(SUBPROTOCOL)) {
    return {
      status: 400,
      line: `None of the offered subprotocols is spoken here; offer "${SUBPROTOCOL}", or none at all`,
    };
  }
  return null;
}

export function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** The subprotocol that is chosen; undefined when the client offered none. */
export function chosenSubprotocol(header: string | undefined): string | undefined {
  return offersOf(header).includes(SUBPROTOCOL) ? SUBPROTOCOL : undefined;
}

function offersOf(header: string | undefined): string[] {
  if (header === undefined) return [];
  return header
    .split(',')
    .map((offer) => offer.trim())
    .filter((offer) => offer !== '');
}

function originAllowed({ origin, host }: UpgradeRequest, policy: UpgradePolicy): boolean {
  // Only a browser sends an Origin, and only a browser can be made to connect by a page that its user did not choose.
  if (origin === undefined) return true;
  const wanted = origin.toLowerCase();
  if (policy.origins.some((allowed) => allowed === '*' || allowed.toLowerCase().replace(/\/$/, '') === wanted)) {
    return true;
  }
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, hostname: originName } = new URL(origin);
  if (!/^https?:$/.test(protocol) || !URL.canParse(`${protocol}//${host}`)) return false;
  const requested = new URL(`${protocol}//${host}`);
  // The port is no part of it: a page and the broker of one host seldom share one.
  if (requested.hostname !== originName) return false;
  // A page can rebind its own name to the loopback address and then looks like the same host. It can't do so with an
  // address or with localhost, so only these count as the same host where the listener is meant for this machine.
  return !policy.loopback || isLocalName(requested.hostname);
}

function isLocalName(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname.startsWith('[') ||
    /^\d+\.\d+\.\d+\.\d+$/.test(hostname)
  );
}
