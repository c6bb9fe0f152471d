/**
 * Every subject and stream of the system, on one screen. No literal subject stands anywhere else.
 * Facts are `<entity>.<past participle>`, requests `<entity>[.<action>].requested`. Versions and free text never go in a subject.
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

  containerRequested: 'container.requested',
  containerStopRequested: 'container.stop.requested',
  containerStartRequested: 'container.start.requested',
  containerRestartRequested: 'container.restart.requested',
  containerRemoveRequested: 'container.remove.requested',
  containerUpdateRequested: 'container.update.requested',
  containerConfigured: 'container.configured',
  containerRejected: 'container.rejected',
  containerStarted: 'container.started',
  containerFailed: 'container.failed',
  containerStopped: 'container.stopped',
  containerRemoved: 'container.removed',
  containerLost: 'container.lost',
  containerMoved: 'container.moved',
  containerUpdated: 'container.updated',
  containerReverted: 'container.reverted',

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
  hostCordoned: 'host.cordoned',
  hostUncordoned: 'host.uncordoned',
  hostDrained: 'host.drained',
  hostRejected: 'host.rejected',
} as const;

export type EventSubject = (typeof SUBJECTS)[keyof typeof SUBJECTS];

/** The desired state of one container on one host; the last value is the truth. */
export const desiredContainer = (host: string, containerId: string): string =>
  `desired.host.${host}.container.${containerId}`;
export const desiredOfHost = (host: string): string => `desired.host.${host}.container.*`;

/** What a host or storage node says; the writer's name is in the subject, the provisioner checks it and publishes the official fact. */
export const hostReport = (host: string, containerId: string): string => `report.host.${host}.container.${containerId}`;
export const HOST_REPORTS = 'report.host.*.container.*';
export const masterReport = (node: string): string => `report.node.${node}.image`;
export const MASTER_REPORTS = 'report.node.*.image';

/** Core NATS, not stored: a lost heartbeat is replaced by the next. */
export const hostHeartbeat = (host: string): string => `heartbeat.host.${host}`;
export const HOST_HEARTBEATS = 'heartbeat.host.*';
export const storageHeartbeat = (node: string): string => `heartbeat.storage.${node}`;
export const STORAGE_HEARTBEATS = 'heartbeat.storage.*';

export const containerStatus = (containerId: string): string => `status.container.${containerId}`;
export const hostStatus = (host: string): string => `status.host.${host}`;
export const storageStatus = (node: string): string => `status.storage.${node}`;
export const rolloutStatus = (rolloutId: string): string => `status.rollout.${rolloutId}`;
export const imageStatus = (name: string): string => `status.image.${name}`;
export const deadLetter = (service: string): string => `deadletter.${service}`;

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
  dropDeadLetters: 'deadletters.drop',
} as const;
export const agentExec = (host: string): string => `agent.${host}.exec`;
export const agentLogs = (host: string): string => `agent.${host}.logs`;
export const agentStats = (host: string): string => `agent.${host}.stats`;

/**
 * Asks the provisioner, which alone may create consumers, to open those of the asker; core NATS, the asker's name is in the subject.
 * Body `{}` → QueryReply<OpenedConsumers>.
 */
export const hostConsumers = (host: string): string => `consumers.host.${host}`;
export const storageConsumers = (node: string): string => `consumers.storage.${node}`;
export const BUILDER_CONSUMERS = 'consumers.image-builder';
export const CONSUMER_REQUESTS = 'consumers.>';

/** Names of consumers on the bus: access rights are given by them. */
export const durableName = (group: string, subject: string): string =>
  `${group}_${subject.replaceAll('.', '-').replaceAll('*', 'any')}`;
export const desiredConsumer = (host: string): string => `host-agent-${host}`;
export const distributorGroup = (node: string): string => `distributor-${node}`;

/** JetStream streams. Ages in seconds, sizes in bytes; the service kit's configuration may override them. */
export const STREAMS = {
  events: {
    name: 'PLINTH_EVENTS',
    subjects: ['image.>', 'container.>', 'host.>', 'rollout.>'],
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
