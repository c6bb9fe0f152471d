/** Configs by which a host releases a container that runs elsewhere now, kept until the host reports the release. */
import type { ContainerConfig } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';

/** The config is kept in the database, because the bus may lose it. */
export async function rememberGivenUp(manager: EntityManager, host: string, config: ContainerConfig): Promise<void> {
  await manager.query(
    `INSERT INTO given_up (host, container_id, config) VALUES ($1, $2, $3)
       ON CONFLICT (host, container_id) DO UPDATE SET config = excluded.config`,
    [host, config.containerId, JSON.stringify(config)],
  );
}

export async function forgetGivenUp(manager: EntityManager, host: string, containerId: string): Promise<void> {
  await manager.query('DELETE FROM given_up WHERE host = $1 AND container_id = $2', [host, containerId]);
}

export async function allGivenUp(manager: EntityManager): Promise<ContainerConfig[]> {
  const rows: { config: ContainerConfig }[] = await manager.query('SELECT config FROM given_up');
  return rows.map(({ config }) => config);
}
