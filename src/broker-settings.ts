/** The settings among the options of `createBroker`: checked, and completed with the defaults. */
import type { BrokerOptions } from './broker-options.ts';
import { type Config, configSchema, settings } from './config.ts';
import { exposureFault } from './config-check.ts';
import { BrokerError } from './errors.ts';
import { budgetFault } from './machines/budget.ts';
import { didYouMean } from './nearest-name.ts';

const optionNames = ['listen', 'admin', 'guests', 'signal', 'inspect'] as const;

/** Throws CONFIG_INVALID, which names every setting that is wrong or unknown, and a budget that can't work. */
export function settingsOf(options: BrokerOptions): Config {
  const { listen, admin, guests, signal, inspect, ...given } = options;
  const known = new Set(Object.keys(settings));
  const faults = Object.keys(given)
    .filter((name) => !known.has(name))
    .map((name) => `${name}: unknown${hint(name, known)}`);
  if (faults.length === 0) {
    const parsed = configSchema.safeParse(given);
    if (parsed.success) {
      const fault = exposureFault(parsed.data) ?? budgetFault(parsed.data);
      if (fault === null) return parsed.data;
      faults.push(fault);
    } else faults.push(...parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  }
  throw new BrokerError('CONFIG_INVALID', faults.join('; '));
}

function hint(name: string, known: ReadonlySet<string>): string {
  if (name === 'config') return '; settings stand beside the options: createBroker({ data, listen: false })';
  return didYouMean(name, [...known, ...optionNames]);
}
