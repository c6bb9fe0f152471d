/** What every container needs of the kernel, tried as the host agent tries it. */
import {
  enterPrivateMountNamespace,
  isInPrivateMountNamespace,
  type KernelFeature,
  kernelFeatures,
  MountNamespaceError,
} from '@plinth/container-runtime';
import { type Check, fail, ok, warn } from './check.js';

const NAME = 'kernel';

/** This process's thread, and what it starts, is in a mount namespace of its own afterwards. */
export async function checkKernel(): Promise<Check[]> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return [warn(NAME, 'not tried', 'run it as root')];
  try {
    await enterPrivateNamespaceOnce();
    return featureChecks(kernelFeatures());
  } catch (error) {
    if (error instanceof MountNamespaceError)
      return [fail(NAME, error.message, 'run it as root with CAP_SYS_ADMIN; in a container, as a privileged one')];
    throw error;
  }
}

/** Pure. */
export function featureChecks(features: readonly KernelFeature[]): Check[] {
  const missing = features.filter(({ problem }) => problem !== undefined);
  if (missing.length === 0) return [ok(NAME, features.map(({ name }) => name).join(', '))];
  return missing.map(({ name, problem = '', todo }) =>
    fail(NAME, `${name}, which every container needs: ${problem}`, `agents do not start; ${todo}`),
  );
}

/** @throws MountNamespaceError */
export async function enterPrivateNamespaceOnce(): Promise<void> {
  if (!isInPrivateMountNamespace()) await enterPrivateMountNamespace({ reexecute: false });
}
