/** The calls that change something: POST, with the token where one is set. */
import { authorization } from './admin-token.ts';

export type StopMode = 'graceful' | 'fast' | 'immediate';

/** Resolves with null when it was taken, and else with why not, for people. */
export async function call(path: 'stop' | 'drain' | 'drain/cancel', body: object = {}): Promise<string | null> {
  try {
    const answer = await fetch(`./${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...authorization() },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    if (answer.ok) return null;
    const told = (await answer.json().catch(() => null)) as { readonly message?: unknown } | null;
    return typeof told?.message === 'string' ? told.message : `the broker answered ${answer.status}`;
  } catch {
    return 'the broker does not answer';
  }
}
