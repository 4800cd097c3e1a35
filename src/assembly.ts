/**
 * The composition root: every part of a broker, built and connected in one place, from ports that are passed in. The
 * simulator and tests pass others. Nothing runs yet when it returns.
 */
import { adminLogic } from './actors/admin.ts';
import { AdminServer, type AdminView } from './actors/admin-server.ts';
import { brokerHub, type MakeHub } from './actors/broker-inspection.ts';
import { FlightMeter } from './actors/flight-meter.ts';
import { Gateway, gatewayLogic } from './actors/gateway.ts';
import { Groups } from './actors/groups.ts';
import { LoopDelay } from './actors/loop-delay.ts';
import { Sessions } from './actors/sessions.ts';
import { shardLogic } from './actors/shard.ts';
import { ShardRuntime } from './actors/shard-runtime.ts';
import type { Config } from './config.ts';
import { BrokerError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { FlushMeasure } from './machines/budget.ts';
import { type ChildCounts, noCounts } from './machines/report.ts';
import { shardId } from './machines/shard.ts';
import { supervisorMachine } from './machines/supervisor.ts';
import type { Clock } from './ports/clock.ts';
import type { Listen } from './ports/connection.ts';
import type { Random } from './ports/random.ts';
import { Catalogue } from './shard/catalogue.ts';
import { ShardTable } from './shard/shard-table.ts';
import type { DataDirectory } from './storage/data-directory.ts';
import type { Disk } from './storage/disk.ts';
import type { MetaFactory } from './storage/meta.ts';
import { DiskReserve } from './storage/reserve.ts';
import { openSegmentLog } from './storage/segment-log.ts';
import { version } from './version.ts';

export interface AssemblyParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly disk: Disk;
  readonly meta: MetaFactory;
  /** Null for a broker that no socket leads to. */
  readonly listen: Listen | null;
  readonly data: DataDirectory;
  /** What the admin endpoint shows; it asks back into the broker. */
  readonly view: AdminView;
  readonly hub: MakeHub;
}

export interface Assembly {
  readonly runtimes: readonly ShardRuntime[];
  readonly catalogue: Catalogue;
  readonly groups: Groups;
  readonly shards: ShardTable;
  readonly sessions: Sessions;
  readonly meter: FlightMeter;
  readonly gateway: Gateway;
  readonly admin: AdminServer;
  readonly loopDelay: LoopDelay;
  /** The supervisor's chart with every child's effects. */
  readonly logic: typeof supervisorMachine;
  /** Pending bytes of all shards and how fast they are written. */
  readonly load: () => FlushMeasure;
  readonly shardCounts: (shard: number) => ChildCounts;
}

export function assemble(parts: AssemblyParts): Assembly {
  const { config, clock, random, logger, listen, data, view } = parts;
  const table = new ShardTable(data.identity.shards);
  const catalogue = new Catalogue(table, clock, logger, config);
  const runtimes = Array.from({ length: data.identity.shards }, (_, shard) =>
    shardRuntime(parts, shard, table, catalogue),
  );
  const groups = new Groups({ config, clock, logger, shards: table, catalogue });
  const meter = new FlightMeter(config.inFlightBytesTotal);
  const brokerName = `sluice/${version}`;
  const sessions = new Sessions({ config, clock, random, logger, shards: table, catalogue, groups, meter, brokerName });
  const gateway = new Gateway({ config, clock, logger, listen, sessions });
  const { adminHost: host, adminPort: port, adminToken: token } = config;
  const loopDelay = new LoopDelay(clock);
  const hub = parts.hub(brokerHub({ clock, logger, sessions, view, version, send: config.inspectSend }));
  const admin = new AdminServer({ host, port, token, view, logger, clock, loopDelay, hub });
  const logic = supervisorMachine.provide({
    actors: { shard: shardLogic(runtimes), gateway: gatewayLogic(gateway), admin: adminLogic(admin, logger) },
    actions: {
      // A defect in a child's chart: what it held is given up here, since it can't do that itself any more.
      childBroke: (_, { id, error }) => {
        logger.error({ child: id, err: error }, 'a child broke');
        const runtime = runtimes.find(({ shard }) => shardId(shard) === id);
        if (runtime === undefined) return;
        runtime.fence(BrokerError.from(error, 'SHARD_FAILED', 'its chart broke'));
        runtime
          .release()
          .catch((failure: unknown) => logger.warn({ child: id, err: failure }, 'its files were not let go'));
      },
    },
  });
  return {
    runtimes,
    catalogue,
    groups,
    shards: table,
    sessions,
    meter,
    gateway,
    admin,
    loopDelay,
    logic,
    load: () => loadOf(runtimes),
    shardCounts: (shard) => runtimes[shard]?.counts ?? noCounts,
  };
}

function shardRuntime(parts: AssemblyParts, shard: number, table: ShardTable, catalogue: Catalogue): ShardRuntime {
  const { config, clock, logger, disk, data, meta } = parts;
  const directory = data.logPath(shard);
  const reserve = new DiskReserve(disk, data.shardPath(shard), data.reservePath(shard), config.reserveBytes);
  return new ShardRuntime({
    shard,
    config,
    clock,
    table,
    logger,
    onServing: (engine) => catalogue.addShard(engine),
    stores: {
      openLog: async (from, signal) => {
        await makeShardDirectory(disk, data, shard);
        return openSegmentLog({ disk, directory, shard, segmentBytes: config.segmentBytes }, from, signal);
      },
      meta,
      metaDirectory: data.metaPath(shard),
    },
    space: {
      ensureReserve: () => reserve.ensure(),
      giveBack: () => reserve.giveBack(),
      freeBytes: async () => (await disk.space(data.path)).freeBytes,
    },
  });
}

/** Makes the folders of a shard, and their names durable: a log whose folder a power cut loses keeps nothing. */
async function makeShardDirectory(disk: Disk, data: DataDirectory, shard: number): Promise<void> {
  await disk.makeDirectory(data.logPath(shard));
  await disk.syncDirectory(data.shardPath(shard));
  await disk.syncDirectory(data.shardsPath);
  await disk.syncDirectory(data.path);
}

/** Shards flush side by side, so that all are done when the slowest is: its time makes the rate of the whole. */
function loadOf(runtimes: readonly ShardRuntime[]): FlushMeasure {
  let pendingBytes = 0;
  let together: number | null = null;
  let slowestSeconds = 0;
  for (const { engine } of runtimes) {
    const bytes = engine?.queueBytes ?? 0;
    pendingBytes += bytes;
    const rate = engine?.figures.flushBytesPerSecond ?? null;
    if (rate === null) continue;
    together = (together ?? 0) + rate;
    slowestSeconds = Math.max(slowestSeconds, bytes / rate);
  }
  return { pendingBytes, flushBytesPerSecond: slowestSeconds > 0 ? pendingBytes / slowestSeconds : together };
}
