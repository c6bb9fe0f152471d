/** What the running kernel was built with, where the machine says so. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { hasCode } from '../system-error.js';

/** @param option e.g. `CONFIG_QFMT_V2` @returns whether it is known to be absent */
export function isKernelWithout(option: string): boolean {
  const config = kernelConfig();
  return config !== undefined && lacksOption(config, option);
}

/** Pure. A module counts as there. */
export function lacksOption(config: string, option: string): boolean {
  return !config.split('\n').some((line) => line === `${option}=y` || line === `${option}=m`);
}

function kernelConfig(): string | undefined {
  const packed = readOptional('/proc/config.gz');
  if (packed !== undefined) return gunzipSync(packed).toString();
  return readOptional(`/boot/config-${release()}`)?.toString();
}

function readOptional(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw error;
  }
}
