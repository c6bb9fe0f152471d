/**
 * Every subject and stream of the system, on one screen. No literal subject stands anywhere else.
 * Facts are `<entity>.<past participle>`, requests `<entity>[.<action>].requested`. Versions and free text never go in
 * a subject.
 */
export const SUBJECTS = {
  imageRequested: 'image.requested',
  imageBuilding: 'image.building',
  imageBuilt: 'image.built',
  imageTested: 'image.tested',
  imageRejected: 'image.rejected',
  imagePromotionRequested: 'image.promotion.requested',
  imagePromoted: 'image.promoted',
  imageActivationRequested: 'image.activation.requested',
  imageActivated: 'image.activated',
  imageRevocationRequested: 'image.revocation.requested',
  imageRevoked: 'image.revoked',
  imageDistributed: 'image.distributed',
  imageDistributionFailed: 'image.distribution.failed',
  imageRetirementRequested: 'image.retirement.requested',
  imageRetired: 'image.retired',
  imagePrefetchRequested: 'image.prefetch.requested',
  imagePinRequested: 'image.pin.requested',
  imageEvictRequested: 'image.evict.requested',
  imageCacheChanged: 'image.cache.changed',
  imageCached: 'image.cached',
  imageCacheFailed: 'image.cache.failed',
  imageEvicted: 'image.evicted',

  containerRequested: 'container.requested',
  containerStopRequested: 'container.stop.requested',
  containerStartRequested: 'container.start.requested',
  containerRestartRequested: 'container.restart.requested',
  containerRemoveRequested: 'container.remove.requested',
  containerUpdateRequested: 'container.update.requested',
  containerChangeRequested: 'container.change.requested',
  containerConfigured: 'container.configured',
  containerRejected: 'container.rejected',
  containerStarted: 'container.started',
  containerFailed: 'container.failed',
  containerStopped: 'container.stopped',
  containerHealthy: 'container.healthy',
  containerUnhealthy: 'container.unhealthy',
  containerLimited: 'container.limited',
  containerRemoved: 'container.removed',
  containerLost: 'container.lost',
  containerMoved: 'container.moved',
  containerUpdated: 'container.updated',
  containerReverted: 'container.reverted',
  containerChanged: 'container.changed',

  rolloutRequested: 'rollout.requested',
  rolloutPauseRequested: 'rollout.pause.requested',
  rolloutResumeRequested: 'rollout.resume.requested',
  rolloutAbortRequested: 'rollout.abort.requested',
  rolloutRevertRequested: 'rollout.revert.requested',
  rolloutApprovalRequested: 'rollout.approval.requested',
  rolloutRejected: 'rollout.rejected',
  rolloutStarted: 'rollout.started',
  rolloutBatchStarted: 'rollout.batch.started',
  rolloutBatchFinished: 'rollout.batch.finished',
  rolloutPaused: 'rollout.paused',
  rolloutResumed: 'rollout.resumed',
  rolloutHalted: 'rollout.halted',
  rolloutCompleted: 'rollout.completed',
  rolloutAborted: 'rollout.aborted',
  rolloutReverted: 'rollout.reverted',

  hostJoined: 'host.joined',
  hostLost: 'host.lost',
  hostRecovered: 'host.recovered',
  hostCordonRequested: 'host.cordon.requested',
  hostUncordonRequested: 'host.uncordon.requested',
  hostDrainRequested: 'host.drain.requested',
  hostLabelRequested: 'host.label.requested',
  hostCordoned: 'host.cordoned',
  hostUncordoned: 'host.uncordoned',
  hostDrained: 'host.drained',
  hostLabelled: 'host.labelled',
  hostRejected: 'host.rejected',

  tenantChangeRequested: 'tenant.change.requested',
  tenantChanged: 'tenant.changed',
  tenantRejected: 'tenant.rejected',

  rebalanceRequested: 'rebalance.requested',
  rebalanceCancelRequested: 'rebalance.cancel.requested',
  rebalanceStarted: 'rebalance.started',
  rebalanceCancelled: 'rebalance.cancelled',
  rebalanceFinished: 'rebalance.finished',
  rebalanceRejected: 'rebalance.rejected',

  storageJoined: 'storage.joined',
  storageLost: 'storage.lost',
  storageRecovered: 'storage.recovered',
} as const;

/**
 * Subjects that name an instance are made by the functions below; `*` for a token makes the subject that all instances
 * fit. Their return types are what the catalogue finds the contract by.
 */

/** The desired state of one container on one host; the last value is the truth. */
export const desiredContainer = (host: string, containerId: string) =>
  `desired.host.${host}.container.${containerId}` as const;

/** A part of what a host has to know of a tenant's containers, on every host; the last value is the truth. */
export const desiredNeighbours = (host: string, tenantNumber: number | '*', shard: number | '*') =>
  `desired.host.${host}.tenant.${tenantNumber}.${shard}` as const;

/** What containers of a tenant may reach from one host; the last value is the truth. */
export const desiredTenantEgress = (host: string, tenantNumber: number | '*') =>
  `desired.host.${host}.tenant.${tenantNumber}.egress` as const;

/** What a host's own store holds besides what its containers need; the last value is the truth. */
export const desiredHostImages = (host: string) => `desired.host.${host}.images` as const;

/** One version that is or was in production, for all hosts and storage nodes; the last value is the truth. */
export const desiredImage = (name: string, version: string) => `desired.image.${name}.${version}` as const;
/** All of them. */
export const DESIRED_IMAGES = 'desired.image.>';

/** Everything that is desired of one host. */
export const desiredOfHost = (host: string): string => `desired.host.${host}.>`;

/**
 * What a host or storage node reports; the writer's name is in the subject, the provisioner checks it and publishes the
 * official fact.
 */
export const hostReport = (host: string, containerId: string) =>
  `report.host.${host}.container.${containerId}` as const;
export const HOST_REPORTS = hostReport('*', '*');
/** A host's report of its own store. */
export const hostImageReport = (host: string) => `report.host.${host}.image` as const;
export const HOST_IMAGE_REPORTS = hostImageReport('*');
export const masterReport = (node: string) => `report.node.${node}.image` as const;
export const MASTER_REPORTS = masterReport('*');

/** Core NATS, not stored: a lost heartbeat is replaced by the next. */
export const hostHeartbeat = (host: string) => `heartbeat.host.${host}` as const;
export const HOST_HEARTBEATS = hostHeartbeat('*');
export const storageHeartbeat = (node: string) => `heartbeat.storage.${node}` as const;
export const STORAGE_HEARTBEATS = storageHeartbeat('*');

export const containerStatus = (containerId: string) => `status.container.${containerId}` as const;
export const hostStatus = (host: string) => `status.host.${host}` as const;
export const storageStatus = (node: string) => `status.storage.${node}` as const;
export const rolloutStatus = (rolloutId: string) => `status.rollout.${rolloutId}` as const;
export const imageStatus = (name: string) => `status.image.${name}` as const;
/** All of them. */
export const STATUSES = 'status.>';
export const deadLetter = (service: string) => `deadletter.${service}` as const;

/** Request/reply on core NATS. */
export const QUERIES = {
  containers: 'query.containers',
  container: 'query.container',
  images: 'query.images',
  hosts: 'query.hosts',
  storage: 'query.storage',
  build: 'query.build',
  imageDiff: 'query.image.diff',
  imagePlan: 'query.image.plan',
  rollouts: 'query.rollouts',
  rollout: 'query.rollout',
  rolloutMembers: 'query.rollout.members',
  tenant: 'query.tenant',
  placement: 'query.placement',
  rebalancePlan: 'query.rebalance.plan',
  rebalance: 'query.rebalance',
  dropDeadLetters: 'deadletters.drop',
} as const;
export const agentExec = (host: string) => `agent.${host}.exec` as const;
export const agentLogs = (host: string) => `agent.${host}.logs` as const;
export const agentStats = (host: string) => `agent.${host}.stats` as const;

/**
 * Asks the provisioner, which alone may create consumers, to open those of the asker; core NATS, the asker's name is in
 * the subject.
 * Body `{}` → QueryReply<OpenedConsumers>.
 */
export const hostConsumers = (host: string) => `consumers.host.${host}` as const;
export const storageConsumers = (node: string) => `consumers.storage.${node}` as const;
/** A host's consumer of {@link DESIRED_IMAGES}, by itself: opening a consumer of last values begins it again. */
export const hostImageConsumers = (host: string) => `consumers.host.${host}.images` as const;
export const BUILDER_CONSUMERS = 'consumers.image-builder';
/** Answers with the positions of the streams, and opens nothing. */
export const consoleConsumers = (name: string) => `consumers.console.${name}` as const;
/** Opens the consumer of {@link STATUSES}. */
export const consoleStatusConsumers = (name: string) => `consumers.console.${name}.status` as const;
/** Opens the consumer of {@link STREAMS}.events, from a position on: body EventConsumersQuery. */
export const consoleEventConsumers = (name: string) => `consumers.console.${name}.events` as const;
/** All of them, for the service that opens them. */
export const CONSUMER_REQUESTS = 'consumers.>';

/** Names of consumers on the bus: access rights are given by them. */
export const durableName = (group: string, subject: string): string =>
  `${group}_${subject.replaceAll('.', '-').replaceAll('*', 'any')}`;
export const desiredConsumer = (host: string): string => `host-agent-${host}`;
export const hostImagesConsumer = (host: string): string => `images-host-${host}`;
export const storageImagesConsumer = (node: string): string => `images-storage-${node}`;
export const consoleStatusConsumer = (name: string): string => `status-console-${name}`;
export const consoleEventConsumer = (name: string): string => `events-console-${name}`;

/** Everything that is stored about one kind of thing, and may be subscribed to live. */
export const EVENTS_ABOUT = {
  images: 'image.>',
  containers: 'container.>',
  hosts: 'host.>',
  storageNodes: 'storage.>',
  rollouts: 'rollout.>',
  tenants: 'tenant.>',
  rebalances: 'rebalance.>',
} as const;

/** JetStream streams. Ages in seconds, sizes in bytes; the service kit's configuration may override them. */
export const STREAMS = {
  events: {
    name: 'PLINTH_EVENTS',
    subjects: Object.values(EVENTS_ABOUT),
    maxAgeSeconds: 7 * 86_400,
    maxBytes: 4 * 1024 ** 3,
    lastValuePerSubject: false,
  },
  reports: {
    name: 'PLINTH_REPORTS',
    subjects: ['report.>'],
    maxAgeSeconds: 86_400,
    maxBytes: 1024 ** 3,
    lastValuePerSubject: false,
  },
  desired: {
    name: 'PLINTH_DESIRED',
    subjects: ['desired.>'],
    maxAgeSeconds: 0,
    maxBytes: 4 * 1024 ** 3,
    lastValuePerSubject: true,
  },
  status: {
    name: 'PLINTH_STATUS',
    subjects: ['status.>'],
    maxAgeSeconds: 0,
    maxBytes: 1024 ** 3,
    lastValuePerSubject: true,
  },
  deadLetters: {
    name: 'PLINTH_DEADLETTERS',
    subjects: ['deadletter.>'],
    maxAgeSeconds: 30 * 86_400,
    maxBytes: 256 * 1024 ** 2,
    lastValuePerSubject: false,
  },
} as const;
export type StreamName = (typeof STREAMS)[keyof typeof STREAMS]['name'];

/** The stream that stores a subject. @throws Error when none does */
export function streamOf(subject: string): StreamName {
  const first = subject.slice(0, subject.indexOf('.') + 1);
  const stream = Object.values(STREAMS).find((candidate) =>
    candidate.subjects.some((pattern) => pattern.startsWith(first)),
  );
  if (!stream || first === '') throw new Error(`no stream holds ${subject}`);
  return stream.name;
}
