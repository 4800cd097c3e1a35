/** Fields that hold names: of topics, groups and members. */
import { topicNameFault } from '../domain/topic.ts';
import { BrokerError } from '../errors.ts';
import type { FieldReader } from './field.ts';

export const GROUP_LENGTH_MAX = 249;
export const PRODUCER_LENGTH_MAX = 128;

const printable = /^[\x21-\x7e]+$/;

export function topicOf(fields: FieldReader): string {
  const topic = fields.value('topic');
  if (typeof topic !== 'string') throw fields.wrong('topic', 'the name of a topic');
  const fault = topicNameFault(topic);
  if (fault !== null) throw new BrokerError('INVALID_TOPIC', fault);
  return topic;
}

export function groupOf(fields: FieldReader): string {
  const group = optionalGroup(fields);
  if (group === undefined) throw fields.wrong('group', 'the name of a group');
  return group;
}

export function optionalGroup(fields: FieldReader): string | undefined {
  const group = fields.optionalText('group', GROUP_LENGTH_MAX);
  if (group !== undefined && topicNameFault(group) !== null) {
    throw fields.wrong(
      'group',
      `1 to ${GROUP_LENGTH_MAX} characters of A–Z a–z 0–9 _ - in parts separated by single dots`,
    );
  }
  return group;
}

/** An id that a client gives itself: of a producer, of a member. */
export function optionalId(fields: FieldReader, name: string): string | undefined {
  const id = fields.optionalText(name, PRODUCER_LENGTH_MAX);
  if (id === undefined || printable.test(id)) return id;
  throw fields.wrong(name, `1 to ${PRODUCER_LENGTH_MAX} printable ASCII characters without spaces`);
}
