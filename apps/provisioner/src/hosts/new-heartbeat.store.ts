/** Stores heartbeats that report something new, many in one statement. */
import type { HostHeartbeat } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { beatRows, BEATS, SAME } from './known-heartbeat.store.js';

/** `changed`: the heartbeat reports something new, or is the first after a silence. */
export type HeartbeatEffect = 'joined' | 'recovered' | 'changed' | 'known';

export interface Before {
  /** The state of the node. */
  readonly before: string;
  /** Whether it reports what it had reported. */
  readonly same: boolean;
}

export function effectOf({ before, same }: Before): HeartbeatEffect {
  if (before === 'lost') return 'recovered';
  return before === 'ready' && same ? 'known' : 'changed';
}

/**
 * The states before are read under the locks of the rows: a transaction that marks one as lost at the same moment comes
 * either before, and then the heartbeat is a recovery, or after.
 * @param beats of each host one
 * @returns what each changed, by host
 */
export async function recordNewHeartbeats(
  manager: EntityManager,
  beats: readonly HostHeartbeat[],
): Promise<ReadonlyMap<string, HeartbeatEffect>> {
  const effects = new Map<string, HeartbeatEffect>();
  // A host that another provisioner inserts at the same moment is neither updated nor inserted by the first statement.
  for (let left = beats; left.length > 0; left = left.filter(({ host }) => !effects.has(host))) {
    const rows: (Before & { readonly host: string; readonly joined: boolean })[] = await manager.query(RECORD, [
      beatRows(left),
    ]);
    for (const row of rows) effects.set(row.host, row.joined ? 'joined' : effectOf(row));
  }
  return effects;
}

const COLUMNS =
  'datacenter, storage_nodes, incarnation, capacity_memory, capacity_cpus, capacity_containers, cores, load1, ' +
  'memory_used, running, runtime, network, disk_limits, io_limits, missing_limits, address, own_users, host_users, cni_network, labels, ' +
  'own_images, serves_at, transfers';
const VALUES = COLUMNS.split(', ')
  .map((column) => `b.${column === 'cores' ? 'capacity_cpus' : column}`)
  .join(', ');

// Rows are locked in the order of names, as by all who lock several.
const RECORD = `WITH ${BEATS},
  held AS MATERIALIZED (
    SELECT h.host, h.state AS before, ${SAME} AS same FROM hosts h JOIN beat b USING (host) ORDER BY h.host FOR UPDATE OF h),
  updated AS (
    UPDATE hosts SET (${COLUMNS}) = ROW(${VALUES}), state = 'ready', last_seen_at = now(), beats = hosts.beats + 1,
      report = hosts.report + 1,
      tenant_policies = coalesce(b.tenant_policies, hosts.tenant_policies)
      FROM beat b JOIN held USING (host) WHERE hosts.host = b.host),
  inserted AS (
    INSERT INTO hosts (host, state, last_seen_at, tenant_policies, ${COLUMNS})
      SELECT b.host, 'ready', now(), b.tenant_policies, ${VALUES} FROM beat b
       WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.host = b.host) ORDER BY b.host
    ON CONFLICT (host) DO NOTHING RETURNING host)
  SELECT host, before, same, false AS joined FROM held
  UNION ALL SELECT host, '', false, true FROM inserted`;
