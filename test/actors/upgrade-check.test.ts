import { describe, expect, test } from 'vitest';
import { chosenSubprotocol, type UpgradeRequest, upgradeRefusal } from '../../src/actors/upgrade-check.ts';
import { isLoopback } from '../../src/inspection/request-check.ts';

const request: UpgradeRequest = { url: '/v1', host: 'broker.example', origin: undefined, subprotocols: undefined };
const policy = { path: '/v1', origins: [], loopback: false };

function status(over: Partial<UpgradeRequest>, loopback = false): number {
  return upgradeRefusal({ ...request, ...over }, { ...policy, loopback })?.status ?? 101;
}

describe('the check of an upgrade', () => {
  test('takes a page of the same host, whatever way a default port is written', () => {
    expect(status({ origin: 'http://broker.example' })).toBe(101);
    expect(status({ origin: 'http://Broker.Example', host: 'BROKER.example:80' })).toBe(101);
    expect(status({ origin: 'https://broker.example', host: 'broker.example:443' })).toBe(101);
    expect(status({ origin: 'http://broker.example:8080', host: 'broker.example:8080' })).toBe(101);
    expect(status({ origin: 'http://broker.example:3000', host: 'broker.example:7070' })).toBe(101);
  });

  test('refuses a page of another host or no host at all', () => {
    expect(status({ origin: 'http://other.example' })).toBe(403);
    expect(status({ origin: 'http://broker.example', host: undefined })).toBe(403);
    expect(status({ origin: 'http://broker.example', host: 'a b' })).toBe(403);
    expect(status({ origin: 'null' })).toBe(403);
    expect(status({ origin: '' })).toBe(403);
    expect(status({ origin: 'chrome-extension://broker.example' })).toBe(403);
  });

  test('takes no name but localhost for the same host where the listener is for this machine', () => {
    const same = (host: string) => status({ origin: `http://${host}`, host }, true);
    expect(same('rebound.example:7070')).toBe(403);
    expect(same('localhost.example:7070')).toBe(403);
    expect(same('localhost:7070')).toBe(101);
    expect(same('app.localhost:7070')).toBe(101);
    expect(same('127.0.0.1:7070')).toBe(101);
    expect(same('[::1]:7070')).toBe(101);
  });

  test('picks the subprotocol out of a list', () => {
    expect(chosenSubprotocol(' a , sluice.v1,b')).toBe('sluice.v1');
    expect(chosenSubprotocol('sluice.v2')).toBeUndefined();
    expect(chosenSubprotocol(undefined)).toBeUndefined();
    expect(status({ subprotocols: 'sluice.v2, mqtt' })).toBe(400);
    expect(status({ subprotocols: ' , ' })).toBe(101);
  });

  test('knows a loopback address', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1'].some(isLoopback)).toBe(false);
  });
});
