/** The names of a setting: in a file and in code, as a flag, as a variable. One rule, so that nobody has to look one up. */
import { type SettingName, settings } from './config.ts';

/** Every name, in the order of the table. */
export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The flag of a setting: `adminPort` → `--admin-port`. */
export function flagOf(name: SettingName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The environment variable of a setting: `adminPort` → `SLUICE_ADMIN_PORT`. */
export function variableOf(name: SettingName): string {
  return `SLUICE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
