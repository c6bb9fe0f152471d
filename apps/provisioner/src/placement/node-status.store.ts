/** The present state of hosts and storage nodes: the body of their `status.*`, and the rows that queries list. */
import {
  type DrainStatus,
  type HostStatus,
  hostStatus,
  type ImageTransfer,
  type StorageStatus,
  storageStatus,
} from '@plinth/contracts';
import { type UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { keptCount } from './count.store.js';

/** Rows by name, those after `after`; all of them, or the named ones. */
export interface Which {
  readonly names?: readonly string[];
  readonly after?: string;
  readonly limit?: number;
}

interface HostRow {
  host: string;
  state: HostStatus['state'];
  datacenter: string;
  storage_nodes: string[];
  capacity_memory: string;
  capacity_cpus: number;
  capacity_containers: number;
  allocated_memory: string;
  allocated_cpus: number;
  allocated_containers: number;
  load1: number;
  memory_used: string;
  running: number;
  runtime: string;
  network: boolean;
  disk_limits: string[];
  io_limits: HostStatus['ioLimits'];
  missing_limits: NonNullable<HostStatus['missingLimits']>;
  own_users: HostStatus['ownUsers'];
  host_users: HostStatus['hostUsers'];
  address: string | null;
  own_images: string[] | null;
  labels: HostStatus['labels'];
  labels_set: HostStatus['labelsSet'];
  cni_network: string | null;
  transfers: ImageTransfer[];
  last_seen_at: Date;
  cordoned: boolean;
  drain: Pick<DrainStatus, 'waiting'> | null;
  left_over: number;
}

export async function hostStatuses(manager: EntityManager, which: Which): Promise<HostStatus[]> {
  const rows: HostRow[] = await manager.query(
    `SELECT h.*, (SELECT count(*)::int FROM containers c WHERE c.host = h.host AND c.state <> 'removed') AS left_over
       FROM hosts h
      WHERE h.host > $1 AND ($2::text[] IS NULL OR h.host = ANY($2)) ORDER BY h.host LIMIT $3`,
    [which.after ?? '', which.names ?? null, which.limit ?? null],
  );
  return rows.map((row) => ({
    host: row.host,
    state: row.state,
    cordoned: row.cordoned,
    drain: row.drain && { left: row.left_over, waiting: row.drain.waiting },
    datacenter: row.datacenter,
    storageNodes: row.storage_nodes,
    capacity: {
      memoryBytes: Number(row.capacity_memory),
      cpus: row.capacity_cpus,
      containers: row.capacity_containers,
    },
    allocated: {
      memoryBytes: Number(row.allocated_memory),
      cpus: row.allocated_cpus,
      containers: row.allocated_containers,
    },
    load: { load1: row.load1, memoryUsedBytes: Number(row.memory_used), containers: row.running },
    runtime: row.runtime,
    network: row.network,
    cniNetwork: row.cni_network,
    diskLimits: row.disk_limits,
    ioLimits: row.io_limits,
    missingLimits: row.missing_limits,
    ownUsers: row.own_users,
    hostUsers: row.host_users,
    address: row.address,
    labels: { ...row.labels, ...row.labels_set },
    labelsSet: row.labels_set,
    images: row.own_images,
    transfers: row.state === 'lost' ? [] : row.transfers,
    lastSeenAt: row.last_seen_at.toISOString(),
  }));
}

interface StorageRow {
  node: string;
  state: StorageStatus['state'];
  datacenter: string;
  labels: Record<string, string>;
  total_bytes: string;
  free_bytes: string;
  images: string[];
  volumes: number;
  transfers: ImageTransfer[];
  last_seen_at: Date;
}

export async function storageStatuses(manager: EntityManager, which: Which): Promise<StorageStatus[]> {
  const rows: StorageRow[] = await manager.query(
    `SELECT s.*, (SELECT coalesce(array_agg(m.name || '@' || m.version ORDER BY 1), '{}') FROM masters m
              WHERE m.node = s.node) AS images,
            ${keptCount('node', 's.node')} AS volumes
       FROM storage_nodes s WHERE s.node > $1 AND ($2::text[] IS NULL OR s.node = ANY($2)) ORDER BY s.node LIMIT $3`,
    [which.after ?? '', which.names ?? null, which.limit ?? null],
  );
  return rows.map((row) => ({
    node: row.node,
    state: row.state,
    datacenter: row.datacenter,
    labels: row.labels,
    totalBytes: Number(row.total_bytes),
    freeBytes: Number(row.free_bytes),
    images: row.images,
    volumes: row.volumes,
    transfers: row.state === 'lost' ? [] : row.transfers,
    lastSeenAt: row.last_seen_at.toISOString(),
  }));
}

/** Reads in the transaction that has changed the host, so that exactly the committed state is published. */
export function announceHost(unit: UnitOfWork, host: string): Promise<void> {
  return announceHosts(unit.db, [host], () => unit);
}

/** Announces several hosts as {@link announceHost}. @param unitOf the decision that has changed the host */
export async function announceHosts(
  manager: EntityManager,
  hosts: readonly string[],
  unitOf: (host: string) => UnitOfWork,
): Promise<void> {
  if (hosts.length === 0) return;
  for (const data of await hostStatuses(manager, { names: hosts }))
    unitOf(data.host).publish(hostStatus(data.host), data);
}

/** Publishes a storage node as {@link announceHost} does a host. */
export async function announceStorage(unit: UnitOfWork, node: string): Promise<void> {
  for (const data of await storageStatuses(unit.db, { names: [node] })) unit.publish(storageStatus(node), data);
}
