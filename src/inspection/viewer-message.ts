/** What viewers say, read with care: they are on the other side of a network. */
import type { ViewerMessage } from './frames.ts';

/** Actors that one viewer follows. */
const FOLLOWED_MAX = 1000;
const ID_MAX = 200;

/** The message; a text that says what is wrong with it otherwise. `text` is null for bytes that are no text. */
export function readViewerMessage(text: string | null): ViewerMessage | string {
  if (text === null) return 'a message is text';
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    // What is wrong with it is all that there is to say.
    return 'a message is JSON';
  }
  if (typeof message !== 'object' || message === null) return 'a message is a JSON object';
  const { type, id, ids, event } = message as Readonly<Record<string, unknown>>;
  switch (type) {
    case 'context':
      return isId(id) ? { type, id } : '"id" is the id of an actor';
    case 'follow':
      if (ids === null) return { type, ids: null };
      if (!Array.isArray(ids) || ids.length > FOLLOWED_MAX || !ids.every(isId)) {
        return `"ids" is null, or a list of at most ${FOLLOWED_MAX} ids`;
      }
      return { type, ids };
    case 'send':
      if (!isId(id)) return '"id" is the id of an actor';
      return isEvent(event) ? { type, id, event } : '"event" is an object with a "type"';
    default:
      return '"type" is "context", "follow" or "send"';
  }
}

function isId(id: unknown): id is string {
  return typeof id === 'string' && id.length > 0 && id.length <= ID_MAX;
}

function isEvent(event: unknown): event is { readonly type: string } {
  return (
    typeof event === 'object' &&
    event !== null &&
    !Array.isArray(event) &&
    typeof (event as { readonly type?: unknown }).type === 'string'
  );
}
