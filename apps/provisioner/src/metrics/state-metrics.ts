/**
 * Prometheus metrics of the present state, read from the database at most every 10 s. Every provisioner shows the same:
 * `max` over them, never `sum`.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { CONTAINER_STATES, HOST_STATES, STORAGE_STATES } from '@plinth/contracts';
import { greatest, LOGGER, type Logger, type Readings, readTogether, type Sample } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { type Count, type HostRoom, presentState, type PresentState } from './state-metrics.store.js';

/** Values of labels that grow with the installation; what is beyond is added up as `other`. */
const MOST_IMAGES = 50;
const MOST_HOSTS = 500;
const MOST_NODES = 200;

export const STATE_FAMILIES = {
  plinth_containers: { help: 'Containers by state, without the removed ones', labels: ['state'] },
  plinth_image_containers: {
    help: `Containers by the image of their config; beyond ${MOST_IMAGES} images: other`,
    labels: ['image'],
  },
  plinth_intake_waiting: { help: 'Requests that were taken from the bus and wait for their decision' },
  plinth_intake_oldest_seconds: { help: 'Age of the oldest request that waits for its decision; 0: there is none' },
  plinth_rollouts: { help: 'Rollouts that have not ended, by state', labels: ['state'] },
  plinth_rollouts_waiting: { help: 'Rollouts that have not ended, by what they wait for', labels: ['reason'] },
  plinth_rollout_members: { help: 'Containers of rollouts that have not ended, by phase', labels: ['phase'] },
  plinth_hosts: { help: 'Hosts by state', labels: ['state'] },
  plinth_hosts_cordoned: { help: 'Hosts that get no new containers' },
  plinth_host_room: {
    help: `Capacity of hosts, what is allocated and what is used; memory in bytes; beyond ${MOST_HOSTS} hosts: other`,
    labels: ['host', 'resource', 'kind'],
  },
  plinth_storage_nodes: { help: 'Storage nodes by state', labels: ['state'] },
  plinth_storage_bytes: {
    help: `Size of storage nodes, and what is free; beyond ${MOST_NODES} nodes: other`,
    labels: ['node', 'kind'],
  },
} as const;

@Injectable()
export class StateMetrics {
  constructor(@InjectDataSource() source: DataSource, @Inject(LOGGER) logger: Logger) {
    readTogether(STATE_FAMILIES, async () => stateReadings(await presentState(source.manager)), logger);
  }
}

/** Pure. */
export function stateReadings(state: PresentState): Readings<keyof typeof STATE_FAMILIES> {
  return {
    plinth_containers: byName('state', state.containers, CONTAINER_STATES.slice(0, -1)),
    plinth_image_containers: greatest(byName('image', state.images), 'image', MOST_IMAGES),
    plinth_intake_waiting: [{ value: state.intake.n }],
    plinth_intake_oldest_seconds: [{ value: state.intake.oldestSeconds }],
    plinth_rollouts: byName('state', state.rollouts),
    plinth_rollouts_waiting: byName('reason', state.waits),
    plinth_rollout_members: byName('phase', state.members),
    plinth_hosts: byName('state', state.hosts, HOST_STATES),
    plinth_hosts_cordoned: [{ value: state.closedHosts }],
    plinth_host_room: greatest(state.rooms.flatMap(roomOf), 'host', MOST_HOSTS),
    plinth_storage_nodes: byName('state', state.storageNodes, STORAGE_STATES),
    plinth_storage_bytes: greatest(
      state.storage.flatMap(({ node, total, free }) => [
        { labels: { node, kind: 'total' }, value: total },
        { labels: { node, kind: 'free' }, value: free },
      ]),
      'node',
      MOST_NODES,
    ),
  };
}

/** @param always values that are shown as 0 when nothing has them */
function byName(label: string, counts: readonly Count[], always: readonly string[] = []): readonly Sample[] {
  const numbers = new Map([
    ...always.map((name) => [name, 0] as const),
    ...counts.map(({ name, n }) => [name, n] as const),
  ]);
  return [...numbers].map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function roomOf({ host, ...room }: HostRoom): Sample[] {
  const samples: readonly (readonly [string, string, number])[] = [
    ['memory', 'capacity', room.capacityMemory],
    ['memory', 'allocated', room.allocatedMemory],
    ['memory', 'used', room.usedMemory],
    ['cpus', 'capacity', room.capacityCpus],
    ['cpus', 'allocated', room.allocatedCpus],
    ['cpus', 'used', room.load],
    ['containers', 'capacity', room.capacityContainers],
    ['containers', 'allocated', room.allocatedContainers],
    ['containers', 'used', room.running],
  ];
  return samples.map(([resource, kind, value]) => ({ labels: { host, resource, kind }, value }));
}
