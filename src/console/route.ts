/** Which view is shown, as the hash of the address says it. */
import { signal } from '@preact/signals';

export const routes = ['overview', 'charts', 'shutdown', 'topics', 'time'] as const;
export type Route = (typeof routes)[number];

export const route = signal<Route>(current());

addEventListener('hashchange', () => {
  route.value = current();
});

export function go(to: Route): void {
  location.hash = `#/${to}`;
}

function current(): Route {
  const name = location.hash.replace(/^#\/?/, '');
  return routes.find((known) => known === name) ?? 'overview';
}
