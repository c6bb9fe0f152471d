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

/** What a host has nothing to do with any more. */
export interface GivenUp {
  readonly writer: string;
  readonly containerId: string;
}

/** As {@link forgetGivenUp} for many. */
export async function forgetAllGivenUp(manager: EntityManager, ended: readonly GivenUp[]): Promise<void> {
  if (ended.length === 0) return;
  await manager.query(
    `DELETE FROM given_up g USING unnest($1::text[], $2::text[]) AS e(host, container_id)
      WHERE g.host = e.host AND g.container_id = e.container_id`,
    [ended.map(({ writer }) => writer), ended.map(({ containerId }) => containerId)],
  );
}

/** As {@link rememberGivenUp} for many, each once. */
export async function rememberAllGivenUp(
  manager: EntityManager,
  given: readonly { readonly host: string; readonly config: ContainerConfig }[],
): Promise<void> {
  if (given.length === 0) return;
  await manager.query(
    `INSERT INTO given_up (host, container_id, config)
       SELECT host, container_id, config::jsonb FROM unnest($1::text[], $2::text[], $3::text[])
         AS g(host, container_id, config) ORDER BY host, container_id
       ON CONFLICT (host, container_id) DO UPDATE SET config = excluded.config`,
    [
      given.map(({ host }) => host),
      given.map(({ config }) => config.containerId),
      given.map(({ config }) => JSON.stringify(config)),
    ],
  );
}

export async function allGivenUp(manager: EntityManager): Promise<ContainerConfig[]> {
  const rows: { config: ContainerConfig }[] = await manager.query('SELECT config FROM given_up');
  return rows.map(({ config }) => config);
}
