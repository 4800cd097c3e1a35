/** MQTT 3.1.1 over WebSocket at QoS 1, both ways. */
import mqtt from 'mqtt';
import type { BenchClient, Target } from './client.ts';

export async function connectMqtt({ url }: Target): Promise<BenchClient> {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, keepalive: 0, clean: true });
  return {
    prepare: async () => {},
    publish: (topic, value) => client.publishAsync(topic, value, { qos: 1 }),
    subscribe: async (topic, receive) => {
      client.on('message', (_topic, payload) => receive(payload));
      await client.subscribeAsync(topic, { qos: 1 });
    },
    close: () => client.endAsync(true),
  };
}
