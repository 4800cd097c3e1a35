import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sameSettings, TOPIC_NAME_LENGTH_MAX, type TopicSettings, topicNameFault } from '../../src/domain/topic.ts';

describe('a topic name', () => {
  it.each(['a', 'orders', 'Orders-2026_v1', 'eu.orders.paid', '0', '_', '-', 'x'.repeat(TOPIC_NAME_LENGTH_MAX)])(
    'may be %j',
    (name) => {
      expect(topicNameFault(name)).toBeNull();
    },
  );

  it.each([
    ['', 'at least 1 character'],
    ['x'.repeat(TOPIC_NAME_LENGTH_MAX + 1), 'at most 249 characters; this one has 250'],
    ['x'.repeat(65_536), 'this one has 65536'],
    ['..', 'parts separated by single dots'],
    ['.', 'single dots'],
    ['../etc/passwd', 'single dots'],
    ['a..b', 'single dots'],
    ['.a', 'single dots'],
    ['a.', 'single dots'],
    ['a/b', 'single dots'],
    ['a\\b', 'single dots'],
    ['a b', 'single dots'],
    ['a\0b', 'single dots'],
    ['a\n', 'single dots'],
    ['\u00e9', 'single dots'],
    ['*', 'single dots'],
    ['orders.>', 'single dots'],
  ])('may not be %j', (name, part) => {
    expect(topicNameFault(name)).toContain(part);
  });

  it.each([[undefined], [null], [7], [{}], [['a']]])('may not be %j, which is no string', (name) => {
    expect(topicNameFault(name)).toBe('a topic name is a string');
  });

  it('is shown no further than its first 80 characters', () => {
    expect(topicNameFault('*'.repeat(200))).toMatch(/; got "\*{80}"$/);
  });

  it('has a fault on one short line, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 300, unit: 'binary' }), fc.anything()), (name) => {
        const fault = topicNameFault(name);
        if (fault === null) return;
        expect(fault.length).toBeLessThan(700);
        expect(fault).not.toContain('\n');
      }),
    );
  });
});

describe('settings of a topic', () => {
  const settings: TopicSettings = { partitions: 4, durability: 'sync', retention: { ms: null, bytes: 1024 } };

  it('are the same when every one is', () => {
    expect(sameSettings(settings, structuredClone(settings))).toBe(true);
  });

  it.each<[string, TopicSettings]>([
    ['partitions', { ...settings, partitions: 5 }],
    ['durability', { ...settings, durability: 'async' }],
    ['retention.ms', { ...settings, retention: { ms: 1, bytes: 1024 } }],
    ['retention.bytes', { ...settings, retention: { ms: null, bytes: null } }],
  ])('differ in %s', (_, other) => {
    expect(sameSettings(settings, other)).toBe(false);
  });
});
