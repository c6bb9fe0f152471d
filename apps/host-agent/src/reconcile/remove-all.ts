/** Removes this host's containers, except their configs and volumes; used when an installation is shut down. */
import type { OciRuntime } from '@plinth/container-runtime';
import type { Logger } from '@plinth/service-kit';
import type { Networks } from '../adapters/networks.js';
import type { ContainerStore } from '../adapters/container-store.js';

const CONCURRENCY = 8;

/** @throws AggregateError when a container can't be removed, after all others were */
export async function removeAllContainers(
  runtime: OciRuntime,
  networks: readonly Pick<Networks, 'removeAll'>[],
  store: ContainerStore,
  logger: Logger,
): Promise<void> {
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
  for (const network of networks)
    await network.removeAll().catch((error: unknown) => {
      logger.error({ err: error }, 'the network of containers could not be removed');
      problems.push(error);
    });
  // As after a reboot, the containers did not end by themselves: the next agent starts them again, regardless of
  // restart policies.
  for (const { config, record } of (await store.readAll()).containers) {
    if (record) await store.saveRecord(config.containerId, { ...record, bootId: '' });
  }
  if (problems.length > 0)
    throw new AggregateError(
      problems,
      `${problems.length} of ${count} containers, or what is left of them, could not be removed`,
    );
  runtime.removeDirectories();
  logger.info({ containers: count }, 'all containers removed');
}
