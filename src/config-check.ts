/**
 * What no single setting can get wrong: bounds that settings set each other. Pure; called by the loader once every
 * setting is sound by itself.
 */
import type { Config, SettingName } from './config.ts';
import { formatBytes } from './config-quantity.ts';
import { isLoopback } from './inspection/request-check.ts';
import { budgetFault } from './machines/budget.ts';

/** Each fault in words, the settings named by where they were given. Empty when all is well. */
export function configFaults(config: Config, origins: ReadonlyMap<SettingName, string>): string[] {
  const faults: string[] = [];
  const name = (setting: SettingName): string => {
    const origin = origins.get(setting) ?? 'default';
    return origin === 'default' ? `${setting} (default)` : origin;
  };
  const atMost = (lower: SettingName & keyof Config, upper: SettingName & keyof Config, why: string): void => {
    const small = config[lower] as number;
    const large = config[upper] as number;
    if (small <= large) return;
    faults.push(
      `${name(lower)}: ${formatBytes(small)} is more than ${name(upper)}, ${formatBytes(large)}: ${why}; ` +
        `lower the one to ${formatBytes(large)} or raise the other to ${formatBytes(small)}`,
    );
  };
  atMost('groupBytes', 'shardQueueBytes', 'a group is taken from the queue');
  atMost('frameBytes', 'shardQueueBytes', 'a frame must fit into the queue');
  atMost('frameBytes', 'inFlightBytes', 'a frame must fit into what a connection may have unanswered');
  atMost('inFlightBytes', 'inFlightBytesTotal', 'one connection may not have more unanswered than all');

  const owed = config.shardQueueBytes + config.groupBytes;
  if (config.reserveBytes !== 0 && config.reserveBytes < owed) {
    faults.push(
      `${name('reserveBytes')}: ${formatBytes(config.reserveBytes)} cannot hold what a shard has admitted; expected 0 (no ` +
        `reserve) or at least shardQueueBytes + groupBytes, ${formatBytes(owed)}`,
    );
  }
  if (config.port !== 0 && config.port === config.adminPort && config.host === config.adminHost) {
    faults.push(`${name('adminPort')}: got ${config.adminPort}, which is the client port too; choose another`);
  }
  const exposure = exposureFault(config);
  // It names the setting by its own name first.
  if (exposure !== null) faults.push(exposure.replace(/^adminHost/, name('adminHost')));
  const budget = budgetFault(config);
  if (budget !== null) {
    // The budget names the setting at fault first, by its own name.
    faults.push(budget.replace(/^(\w+)(?=: )/, (setting) => name(setting as SettingName)));
  }
  return faults;
}

/** What is wrong with an admin endpoint that is open to other machines; null when nothing is. */
export function exposureFault({ adminHost, adminToken }: Pick<Config, 'adminHost' | 'adminToken'>): string | null {
  if (isLoopback(adminHost) || adminToken !== '') return null;
  return (
    `adminHost: ${adminHost} is reachable from other machines, and whoever reaches it can stop the broker; ` +
    'set adminToken (SLUICE_ADMIN_TOKEN) or keep 127.0.0.1'
  );
}
