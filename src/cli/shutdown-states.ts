/**
 * How a shutdown goes, as the broker tells it: its event stream as long as that holds, and looks of our own once it
 * broke. Used by `sluice stop --wait`.
 */
import type { Admin, JsonObject } from './admin.ts';
import { CommandFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 200;
/** A broker tells ten times a second; one that is silent for so long is asked. */
const SILENCE_MS = 3000;

/** Answers of `/shutdown`, `first` before them; ends when nothing listens any more. */
export async function* shutdownStates(
  admin: Admin,
  first: JsonObject,
  terminal: Pick<Terminal, 'sleep'>,
): AsyncGenerator<JsonObject> {
  yield first;
  try {
    yield* admin.watch('/shutdown?watch', SILENCE_MS);
  } catch (error) {
    // Why it broke is what the look that follows finds out.
    if (!(error instanceof CommandFailure)) throw error;
  }
  for (let answer = await look(admin); answer !== null; answer = await look(admin)) {
    yield answer;
    await terminal.sleep(POLL_MS);
  }
}

/** Null once nothing listens any more. A late answer is none: the next look tells. */
async function look(admin: Admin): Promise<JsonObject | null> {
  try {
    return await admin.get('/shutdown');
  } catch (error) {
    if (error instanceof CommandFailure && error.code === 'UNREACHABLE') return null;
    if (error instanceof CommandFailure && error.cause !== undefined) return {};
    throw error;
  }
}
