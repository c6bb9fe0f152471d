/** Numbers of the present state, for metrics: each by an index, or from what is counted anyway. */
import type { EntityManager } from 'typeorm';

export interface Count {
  readonly name: string;
  readonly n: number;
}
export interface HostRoom {
  readonly host: string;
  readonly capacityMemory: number;
  readonly allocatedMemory: number;
  readonly usedMemory: number;
  readonly capacityCpus: number;
  readonly allocatedCpus: number;
  readonly load: number;
  readonly capacityContainers: number;
  readonly allocatedContainers: number;
  readonly running: number;
}

export interface PresentState {
  readonly containers: readonly Count[];
  readonly images: readonly Count[];
  readonly rollouts: readonly Count[];
  readonly waits: readonly Count[];
  readonly members: readonly Count[];
  readonly hosts: readonly Count[];
  readonly closedHosts: number;
  readonly storageNodes: readonly Count[];
  readonly rooms: readonly HostRoom[];
  readonly storage: readonly { readonly node: string; readonly total: number; readonly free: number }[];
  readonly intake: { readonly n: number; readonly oldestSeconds: number };
}

const UNFINISHED = 'ended_at IS NULL';

/** Numbers that were counted one after the other, not at one moment. */
export async function presentState(manager: EntityManager): Promise<PresentState> {
  const counts = (sql: string): Promise<Count[]> => manager.query(sql);
  const [intake] = (await manager.query(
    `SELECT (SELECT count(*)::int FROM intake) AS n,
            coalesce((SELECT extract(epoch FROM now()) - (event->>'storedAtMs')::float8 / 1000
                        FROM intake ORDER BY ordinal LIMIT 1), 0)::float8 AS "oldestSeconds"`,
  )) as { n: number; oldestSeconds: number }[];
  const [closed] = await counts(`SELECT '' AS name, count(*)::int AS n FROM hosts WHERE cordoned`);
  return {
    containers: await counts(
      `SELECT state AS name, count(*)::int AS n FROM containers WHERE state <> 'removed' GROUP BY state`,
    ),
    images: await counts(
      `SELECT about AS name, sum(n)::int AS n FROM (
         SELECT about, n FROM kept_counts WHERE kind = 'image'
         UNION ALL SELECT about, n FROM count_changes WHERE kind = 'image') numbers
        GROUP BY about HAVING sum(n) > 0`,
    ),
    rollouts: await counts(`SELECT state AS name, count(*)::int AS n FROM rollouts WHERE ${UNFINISHED} GROUP BY state`),
    waits: await counts(
      `SELECT coalesce(wait->>'reason', 'none') AS name, count(*)::int AS n FROM rollouts WHERE ${UNFINISHED} GROUP BY 1`,
    ),
    members: await counts(
      `SELECT split_part(about, '/', 2) AS name, sum(n)::int AS n FROM (
         SELECT about, n FROM kept_counts WHERE kind = 'rollout'
         UNION ALL SELECT about, n FROM count_changes WHERE kind = 'rollout') numbers
        WHERE split_part(about, '/', 1) IN (SELECT id FROM rollouts WHERE ${UNFINISHED}) GROUP BY 1`,
    ),
    hosts: await counts('SELECT state AS name, count(*)::int AS n FROM hosts GROUP BY state'),
    closedHosts: closed?.n ?? 0,
    storageNodes: await counts('SELECT state AS name, count(*)::int AS n FROM storage_nodes GROUP BY state'),
    rooms: await manager.query(
      `SELECT host, capacity_memory::float8 AS "capacityMemory", allocated_memory::float8 AS "allocatedMemory",
              memory_used::float8 AS "usedMemory", capacity_cpus AS "capacityCpus", allocated_cpus AS "allocatedCpus",
              load1 AS load, capacity_containers AS "capacityContainers",
              allocated_containers AS "allocatedContainers", running FROM hosts`,
    ),
    storage: await manager.query(
      `SELECT node, total_bytes::float8 AS total, free_bytes::float8 AS free FROM storage_nodes`,
    ),
    intake: { n: intake?.n ?? 0, oldestSeconds: Math.max(0, intake?.oldestSeconds ?? 0) },
  };
}
