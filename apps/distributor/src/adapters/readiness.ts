/** Checks of what a distributor needs for its work. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import type { TrustedKeys } from '@plinth/image-trust';
import type { ReadinessCheck } from '@plinth/service-kit';

export function storageReadiness(directory: string): ReadinessCheck {
  return {
    name: 'storage',
    check: () => access(directory, constants.R_OK | constants.W_OK | constants.X_OK).then(() => undefined, problem),
  };
}

export function keysReadiness(keys: TrustedKeys): ReadinessCheck {
  return { name: 'trusted-keys', check: () => keys.problem() };
}

export function zstdReadiness(): ReadinessCheck {
  return {
    name: 'zstd',
    check: async () => {
      const zstd = spawn('zstd', ['--version'], { stdio: 'ignore' });
      return once(zstd, 'exit').then(
        ([code]: unknown[]) => (code === 0 ? undefined : `exit code ${String(code)}`),
        problem,
      );
    },
  };
}

export function tokenReadiness(read: () => unknown): ReadinessCheck {
  return {
    name: 'download-token',
    check: async () => {
      try {
        read();
        return undefined;
      } catch (error) {
        return problem(error);
      }
    },
  };
}

function problem(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
