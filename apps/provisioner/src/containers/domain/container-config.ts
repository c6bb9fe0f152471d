/** Writes the container config from a request and what was decided for it, and changes it on later requests. */
import {
  ContainerConfig,
  type ContainerNetwork,
  type ContainerRequested,
  type EffectiveHealthCheck,
  type FallbackReason,
  formatImageRef,
  type HealthCheck,
  type PublishedPort,
  type TenantPolicy,
} from '@plinth/contracts';
import type { ServableImage } from '../../images/domain/image-resolution.js';
import type { NetworkIdentity } from '../../network/domain/address-pool.js';
import type { Resources } from '../../placement/domain/placement.js';

export interface Defaults {
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly openFiles: number;
}

export interface Decision {
  readonly containerId: string;
  readonly volumeId: string;
  readonly name: string;
  readonly tenant: string;
  readonly host: string;
  readonly storageNode: string;
  readonly image: ServableImage;
  readonly fallbackReason?: FallbackReason;
  readonly network: ContainerNetwork;
  /** Present where the network is `container`. */
  readonly identity?: NetworkIdentity;
  /** Of its tenant; present where the network is `container` and it was set. */
  readonly tenantPolicy?: TenantPolicy | undefined;
  /** On the host; empty: none. */
  readonly ports: readonly PublishedPort[];
  /** ISO 8601. */
  readonly requestedAt: string;
  readonly decidedAt: string;
}

export const DEFAULT_TENANT = 'default';
const STOP_GRACE_SECONDS = 10;
const DEFAULT_INTERVAL_SECONDS = 10;

export function newContainerConfig(
  request: ContainerRequested,
  decision: Decision,
  defaults: Defaults,
): ContainerConfig {
  return Object.assign(new ContainerConfig(), {
    containerId: decision.containerId,
    name: decision.name,
    tenant: decision.tenant,
    host: decision.host,
    generation: 1,
    runGeneration: 1,
    desired: 'running' as const,
    image: formatImageRef(decision.image),
    contentDigest: decision.image.contentDigest,
    imageAsked: request.image,
    fallbackReason: decision.fallbackReason,
    storageNode: decision.storageNode,
    dataVolume: decision.volumeId,
    software: request.software,
    env: request.env ?? {},
    timezone: request.timezone,
    command: request.command,
    limits: {
      memoryBytes: request.limits?.memoryBytes ?? defaults.memoryBytes,
      cpus: request.limits?.cpus ?? defaults.cpus,
      pids: request.limits?.pids ?? defaults.pids,
      diskBytes: request.limits?.diskBytes,
      openFiles: request.limits?.openFiles ?? defaults.openFiles,
      io: request.limits?.io,
    },
    restart: request.restart ?? { policy: 'always' as const },
    hostUsers: request.hostUsers === true ? (true as const) : undefined,
    network: decision.network,
    address: decision.identity?.address,
    tenantNumber: decision.identity?.tenantNumber,
    ports: decision.ports.length > 0 ? [...decision.ports] : undefined,
    egress: request.egress,
    tenantPolicy: decision.tenantPolicy,
    bandwidth: request.bandwidth,
    stopSignal: request.stopSignal,
    stopGraceSeconds: request.stopGraceSeconds ?? STOP_GRACE_SECONDS,
    health: request.health && healthCheckOf(request.health),
    follow: request.follow,
    constraints: request.constraints,
    group: request.group,
    spread: request.spread,
    affinity: request.affinity,
    antiAffinity: request.antiAffinity,
    requestedAt: decision.requestedAt,
    decidedAt: decision.decidedAt,
  });
}

/** A check costs a host some 15 ms of processor time: a thousand containers on one host can afford this interval. */
function healthCheckOf(health: HealthCheck): EffectiveHealthCheck {
  return {
    exec: health.exec,
    intervalSeconds: health.intervalSeconds ?? DEFAULT_INTERVAL_SECONDS,
    timeoutSeconds: health.timeoutSeconds ?? 5,
    retries: health.retries ?? 3,
    startPeriodSeconds: health.startPeriodSeconds ?? 0,
  };
}

export type ConfigChange =
  | { readonly kind: 'stop' }
  | { readonly kind: 'start' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'remove'; readonly keepData: boolean };

/** The next generation of a config. `start` and `restart` ask for a fresh start. */
export function changeConfig(
  config: ContainerConfig,
  change: ConfigChange,
  requestedAt: string,
  decidedAt: string,
): ContainerConfig {
  const generation = config.generation + 1;
  const next = { ...config, generation, requestedAt, decidedAt };
  switch (change.kind) {
    case 'stop':
      return Object.assign(new ContainerConfig(), next, { desired: 'stopped' });
    case 'start':
    case 'restart':
      return Object.assign(new ContainerConfig(), next, { desired: 'running', runGeneration: generation });
    case 'remove':
      return Object.assign(new ContainerConfig(), next, { desired: 'removed', deleteData: !change.keepData });
  }
}

export function resourcesOf(request: ContainerRequested, defaults: Defaults): Resources {
  return {
    memoryBytes: request.limits?.memoryBytes ?? defaults.memoryBytes,
    cpus: request.limits?.cpus ?? defaults.cpus,
    containers: 1,
  };
}
