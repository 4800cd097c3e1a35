/** What each step of a plan does to the world. */
import type { Step } from './plan.ts';
import type { World } from './world.ts';

type Effects = {
  readonly [Name in Step['do']]: (world: World, step: Extract<Step, { readonly do: Name }>, index: number) => void;
};

export const effects: Effects = {
  publish: ({ apps, wires }, step, index) => {
    const ids = Array.from({ length: step.count }, (_, at) => `${index}.${at}`);
    apps.get(step.client)?.publish(step, ids);
    wires.get(step.client)?.publish(step, ids);
  },
  subscribe: ({ apps }, step) => apps.get(step.client)?.subscribe(step),
  describe: ({ apps }, { client, topic }) => apps.get(client)?.ask('describe', topic, 0),
  create: ({ apps }, { client, topic, partitions }) => apps.get(client)?.ask('create', topic, partitions),
  delete: ({ apps }, { client, topic }) => apps.get(client)?.ask('delete', topic, 0),
  leave: ({ apps }, { client, subscription }) => apps.get(client)?.leave(subscription),
  join: (world, { client }) => world.join(client),
  reopen: ({ apps, members }, { client, reopenMs, drain }) => {
    apps.get(client)?.reopen(reopenMs, drain);
    members.get(client)?.reopen(reopenMs, drain);
  },
  duplicate: ({ wires }, { client, back }) => wires.get(client)?.duplicate(back),
  garbage: ({ wires }, { client, kind }) => wires.get(client)?.garbage(kind),
  pause: ({ wires }, { client, forMs }) => wires.get(client)?.pause(forMs),
  cut: (world, { client }) => {
    for (const link of world.linksOf(client)) link.cut();
  },
  'half-open': (world, { client, forMs }) => {
    for (const link of world.linksOf(client)) {
      link.stall();
      world.clock.setTimeout(() => link.gone(1006, ''), forMs);
    }
  },
  stall: (world, { client, forMs }) => world.stall(client, forMs),
  'slow-network': (world, { ms, forMs }) => world.slowNetwork(ms, forMs),
  stop: ({ process }, { mode, deadlineMs = null }) => process?.stop(mode, deadlineMs),
  drain: ({ process }) => process?.drain(),
  cancel: ({ process }) => process?.cancelDrain(),
  kill: ({ process }) => process?.kill('kill'),
  'power-cut': (world, { keep, seed }) => world.powerCut(keep, seed),
  'disk-error': ({ weather }, step) => weather.fail(step),
  'disk-full': (world, { leaveBytes, forMs }) => world.fillDisk(leaveBytes, forMs),
  'disk-slow': ({ weather }, { ms, forMs }) => weather.slow(ms, forMs),
  'disk-hang': ({ weather }, step) => weather.hang(step),
  rot: (world, step) => world.rot(step),
  meta: (world, step) => world.spoilMetaLater(step),
  'meta-error': ({ weather }, { times }) => weather.failMeta(times),
  'clock-jump': (world, { ms }) => world.setWallClock(ms),
};
