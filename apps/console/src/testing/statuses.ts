/** Statuses as services publish them. */
import type { ContainerState, ContainerStatus, HostStatus, StorageStatus } from '@plinth/contracts';

const AT = '2026-01-01T12:00:00.000Z';

export function containerAt(index: number, change: Partial<ContainerStatus> = {}): ContainerStatus {
  const id = (index + 1).toString(16).padStart(32, '0');
  return {
    id,
    name: `shop-${index}`,
    tenant: 'acme',
    state: 'running',
    desired: 'running',
    host: `h-${(index % 40) + 1}`,
    storageNode: 'sn-1',
    image: `debian-12@v${(index % 3) + 1}`,
    imageAsked: null,
    fallbackReason: null,
    pid: 1_000 + index,
    requestedAt: AT,
    startedAt: AT,
    restarts: 0,
    exitCode: null,
    message: null,
    generation: 1,
    knownGood: null,
    update: null,
    health: null,
    address: null,
    addresses: null,
    ports: [],
    limitsReached: [],
    ...change,
  };
}

/** Most run; some of each other state. */
export function mixedState(index: number): ContainerState {
  if (index % 97 === 0) return 'failed';
  if (index % 211 === 0) return 'lost';
  if (index % 61 === 0) return 'starting';
  return index % 43 === 0 ? 'stopped' : 'running';
}

export function hostAt(index: number, change: Partial<HostStatus> = {}): HostStatus {
  return {
    host: `h-${index}`,
    state: 'ready',
    cordoned: false,
    drain: null,
    datacenter: index % 2 === 0 ? 'east' : 'west',
    storageNodes: ['sn-1'],
    capacity: { memoryBytes: 64 * 1024 ** 3, cpus: 16, containers: 2_000 },
    allocated: { memoryBytes: ((index * 7) % 64) * 1024 ** 3, cpus: 4, containers: 250 },
    load: { load1: (index % 9) / 2, memoryUsedBytes: 8 * 1024 ** 3, containers: 250 },
    runtime: 'crun 1.8.1',
    network: true,
    cniNetwork: null,
    diskLimits: [],
    ioLimits: [],
    ownUsers: [],
    hostUsers: null,
    address: null,
    labels: {},
    labelsSet: {},
    images: null,
    lastSeenAt: AT,
    ...change,
  };
}

export function storageAt(index: number): StorageStatus {
  return {
    node: `sn-${index}`,
    state: index === 2 ? 'lost' : 'ready',
    datacenter: 'east',
    labels: {},
    totalBytes: 4 * 1024 ** 4,
    freeBytes: index * 1024 ** 4,
    images: ['debian-12@v1', 'debian-12@v2', 'debian-12@v3'],
    volumes: 5_000,
    lastSeenAt: AT,
  };
}
