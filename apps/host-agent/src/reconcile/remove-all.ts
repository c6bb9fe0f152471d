/** Everything of this host's containers goes but configs and volumes: for taking an installation down. */
import type { OciRuntime } from '@plinth/container-runtime';
import type { Logger } from '@plinth/service-kit';
import { removeRuntimeDirectories } from '../adapters/runtime-directories.js';
import type { ContainerStore } from '../adapters/container-store.js';

const CONCURRENCY = 8;

/** Throws when a container can't be removed, after all others were. */
export async function removeAllContainers(runtime: OciRuntime, store: ContainerStore, logger: Logger): Promise<void> {
  const ids = runtime.list().map(({ id }) => id);
  const problems: unknown[] = [];
  const remove = async (): Promise<void> => {
    for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
      await runtime.delete(id, { keepLog: true }).catch((error: unknown) => {
        logger.error({ err: error, containerId: id }, 'container could not be removed');
        problems.push(error);
      });
    }
  };
  const count = ids.length;
  await Promise.all(Array.from({ length: CONCURRENCY }, remove));
  // As after a reboot: what ended did not end by itself, so the next agent starts it again whatever its restart policy.
  for (const { config, record } of (await store.readAll()).containers) {
    if (record) await store.saveRecord(config.containerId, { ...record, bootId: '' });
  }
  if (problems.length > 0)
    throw new AggregateError(problems, `${problems.length} of ${count} containers could not be removed`);
  removeRuntimeDirectories(runtime);
  logger.info({ containers: count }, 'all containers removed');
}
