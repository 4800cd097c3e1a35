/**
 * Replies to JSON text. Called by sessions for every reply; deliveries are made of `recordsText` instead.
 *
 * The answer to a text publish is written by hand, in a third of the time: it is the one reply that comes once per
 * message. The acknowledgement rows of binary publishes are not, since `JSON.stringify` is as fast on a list of numbers.
 */
import type { Published, Reply } from './replies.ts';

/** The same text as `JSON.stringify(reply)`. */
export function encodeReply(reply: Reply): string {
  return reply.op === 'published' && 'offset' in reply ? encodePublished(reply) : JSON.stringify(reply);
}

/** Relies on its numbers being finite and on the alphabet of topic names, which needs no escapes. */
function encodePublished({ id, topic, partition, epoch, offset, count, duplicate }: Published): string {
  const mark = id === undefined ? '' : `,"id":${typeof id === 'number' ? id : JSON.stringify(id)}`;
  return (
    `{"op":"published"${mark},"topic":"${topic}","partition":${partition},"epoch":${epoch},"offset":${offset},` +
    `"count":${count}${duplicate === undefined ? '' : ',"duplicate":true'}}`
  );
}
