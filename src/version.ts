/** The version of this package, as published. */
import { readFileSync } from 'node:fs';

interface PackageManifest {
  readonly version: string;
}

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as PackageManifest;

export const version: string = manifest.version;
