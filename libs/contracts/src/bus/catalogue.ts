/** Every contract: class, subject, kind, who publishes and who consumes. JSON Schemas and the AsyncAPI document are made from it. */
import { ContainerConfig } from '../container-config.js';
import * as container from './events/container-facts.js';
import * as containerRequest from './events/container-requests.js';
import * as host from './events/host-events.js';
import * as image from './events/image-events.js';
import * as rollout from './events/rollout-events.js';
import * as update from './events/update-events.js';
import * as reports from './events/reports.js';
import * as imageQueries from './image-queries.js';
import * as queries from './queries.js';
import { HOST_HEARTBEATS, HOST_REPORTS, MASTER_REPORTS, QUERIES, STORAGE_HEARTBEATS, SUBJECTS } from './subjects.js';

export type Payload = new () => object;
export type ContractKind = 'request' | 'fact' | 'report' | 'desired' | 'heartbeat' | 'query';
export type Party = 'upstream' | 'operator' | 'image-builder' | 'distributor' | 'provisioner' | 'host-agent';

export interface Contract<T extends object = object> {
  /** NATS subject, `*` for the tokens that name an instance. */
  readonly subject: string;
  readonly kind: ContractKind;
  readonly payload: new () => T;
  readonly summary: string;
  readonly publishers: readonly Party[];
  readonly consumers: readonly Party[];
}

const define = (
  subject: string,
  kind: ContractKind,
  payload: Payload,
  summary: string,
  publishers: readonly Party[],
  consumers: readonly Party[],
): Contract => ({ subject, kind, payload, summary, publishers, consumers });

const S = SUBJECTS;
const PEOPLE: readonly Party[] = ['upstream', 'operator'];

export const CATALOGUE: readonly Contract[] = [
  define(
    S.imageRequested,
    'request',
    image.ImageRequested,
    'Build an image from a recipe',
    ['operator'],
    ['image-builder'],
  ),
  define(
    S.imageBuilding,
    'fact',
    image.ImageBuilding,
    'A version was given out, its build has begun',
    ['image-builder'],
    ['provisioner'],
  ),
  define(
    S.imageBuilt,
    'fact',
    image.ImageBuilt,
    'The signed archive lies in the testing repository',
    ['image-builder'],
    ['provisioner'],
  ),
  define(
    S.imageTested,
    'fact',
    image.ImageTested,
    'The image was booted and passed its tests',
    ['image-builder'],
    ['provisioner'],
  ),
  define(
    S.imageRejected,
    'fact',
    image.ImageRejected,
    'A request about an image was refused or failed',
    ['image-builder', 'provisioner'],
    ['provisioner'],
  ),
  define(
    S.imagePromotionRequested,
    'request',
    image.ImagePromotionRequested,
    'Put a tested image into production',
    ['operator'],
    ['image-builder'],
  ),
  define(
    S.imagePromoted,
    'fact',
    image.ImagePromoted,
    'The archive lies in the production repository',
    ['image-builder'],
    ['distributor', 'provisioner'],
  ),
  define(
    S.imageActivationRequested,
    'request',
    image.ImageActivationRequested,
    'Make a version the default',
    ['operator'],
    ['provisioner'],
  ),
  define(S.imageActivated, 'fact', image.ImageActivated, 'A version is the default now', ['provisioner'], []),
  define(
    S.imageRevocationRequested,
    'request',
    image.ImageRevocationRequested,
    'Let nothing new start on a version',
    ['operator'],
    ['image-builder'],
  ),
  define(
    S.imageRevoked,
    'fact',
    image.ImageRevoked,
    'Nothing new starts on this version',
    ['image-builder'],
    ['distributor', 'provisioner'],
  ),
  define(
    S.imageRetirementRequested,
    'request',
    image.ImageRetirementRequested,
    'Remove a version from everywhere',
    ['operator'],
    ['provisioner'],
  ),
  define(
    S.imageRetired,
    'fact',
    image.ImageRetired,
    'Nothing needs this version any more',
    ['provisioner'],
    ['distributor', 'image-builder'],
  ),
  define(
    S.imageDistributed,
    'fact',
    image.ImageDistributed,
    'A storage node holds a checked master',
    ['provisioner'],
    [],
  ),
  define(
    S.imageDistributionFailed,
    'fact',
    image.ImageDistributionFailed,
    'A storage node could not get an image',
    ['provisioner'],
    [],
  ),

  define(S.containerRequested, 'request', containerRequest.ContainerRequested, 'Create and start a container', PEOPLE, [
    'provisioner',
  ]),
  define(S.containerStopRequested, 'request', containerRequest.ContainerStopRequested, 'Stop a container', PEOPLE, [
    'provisioner',
  ]),
  define(
    S.containerStartRequested,
    'request',
    containerRequest.ContainerStartRequested,
    'Start a stopped container',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.containerRestartRequested,
    'request',
    containerRequest.ContainerRestartRequested,
    'Stop and start a container',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.containerRemoveRequested,
    'request',
    containerRequest.ContainerRemoveRequested,
    'Remove a container',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.containerUpdateRequested,
    'request',
    update.ContainerUpdateRequested,
    'Move a container to another image',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.containerConfigured,
    'fact',
    container.ContainerConfigured,
    'A config was written and a host chosen',
    ['provisioner'],
    [],
  ),
  define(
    S.containerRejected,
    'fact',
    container.ContainerRejected,
    'A request about a container was refused',
    ['provisioner'],
    [],
  ),
  define(S.containerStarted, 'fact', container.ContainerStarted, 'A container runs', ['provisioner'], []),
  define(
    S.containerFailed,
    'fact',
    container.ContainerFailed,
    'A container did not start, or ended for good',
    ['provisioner'],
    [],
  ),
  define(S.containerStopped, 'fact', container.ContainerStopped, 'A container ended', ['provisioner'], []),
  define(
    S.containerRemoved,
    'fact',
    container.ContainerRemoved,
    'A container is gone from its host',
    ['provisioner'],
    [],
  ),
  define(S.containerLost, 'fact', container.ContainerLost, 'The host of a container is lost', ['provisioner'], []),

  define(
    S.containerMoved,
    'fact',
    container.ContainerMoved,
    'A container is placed on another host',
    ['provisioner'],
    [],
  ),
  define(
    S.containerUpdated,
    'fact',
    update.ContainerUpdated,
    'An update passed gate and soak time',
    ['provisioner'],
    [],
  ),
  define(
    S.containerReverted,
    'fact',
    update.ContainerReverted,
    'An update failed, the known good image runs again',
    ['provisioner'],
    [],
  ),

  define(S.rolloutRequested, 'request', rollout.RolloutRequested, 'Move many containers to another image', PEOPLE, [
    'provisioner',
  ]),
  define(S.rolloutPauseRequested, 'request', rollout.RolloutPauseRequested, 'Begin nothing new', PEOPLE, [
    'provisioner',
  ]),
  define(S.rolloutResumeRequested, 'request', rollout.RolloutResumeRequested, 'Go on', PEOPLE, ['provisioner']),
  define(S.rolloutAbortRequested, 'request', rollout.RolloutAbortRequested, 'End a rollout where it is', PEOPLE, [
    'provisioner',
  ]),
  define(
    S.rolloutRevertRequested,
    'request',
    rollout.RolloutRevertRequested,
    'Go back with everything that was switched',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.rolloutApprovalRequested,
    'request',
    rollout.RolloutApprovalRequested,
    'Let a waiting rollout go on',
    PEOPLE,
    ['provisioner'],
  ),
  define(
    S.rolloutRejected,
    'fact',
    rollout.RolloutRejected,
    'A request about a rollout was refused',
    ['provisioner'],
    [],
  ),
  define(
    S.rolloutStarted,
    'fact',
    rollout.RolloutStarted,
    'A rollout was accepted, its containers are chosen',
    ['provisioner'],
    [],
  ),
  define(S.rolloutBatchStarted, 'fact', rollout.RolloutBatchStarted, 'A batch is being switched', ['provisioner'], []),
  define(
    S.rolloutBatchFinished,
    'fact',
    rollout.RolloutBatchFinished,
    'Every container of a batch was judged',
    ['provisioner'],
    [],
  ),
  define(S.rolloutPaused, 'fact', rollout.RolloutPaused, 'A rollout waits for a person', ['provisioner'], []),
  define(S.rolloutResumed, 'fact', rollout.RolloutResumed, 'A rollout goes on', ['provisioner'], []),
  define(S.rolloutHalted, 'fact', rollout.RolloutHalted, 'A rollout goes back', ['provisioner'], []),
  define(S.rolloutCompleted, 'fact', rollout.RolloutCompleted, 'A rollout has ended', ['provisioner'], []),
  define(S.rolloutAborted, 'fact', rollout.RolloutAborted, 'A rollout was ended where it was', ['provisioner'], []),
  define(
    S.rolloutReverted,
    'fact',
    rollout.RolloutReverted,
    'Everything that was switched is back',
    ['provisioner'],
    [],
  ),

  define(S.hostJoined, 'fact', host.HostJoined, 'A host was heard for the first time', ['provisioner'], []),
  define(S.hostLost, 'fact', host.HostLost, 'A host missed its heartbeats', ['provisioner'], []),
  define(S.hostRecovered, 'fact', host.HostRecovered, 'A lost host was heard again', ['provisioner'], []),

  define(
    S.hostCordonRequested,
    'request',
    host.HostActionRequested,
    'Place nothing new on a host',
    ['operator'],
    ['provisioner'],
  ),
  define(
    S.hostUncordonRequested,
    'request',
    host.HostActionRequested,
    'Place containers on a host again, end its drain',
    ['operator'],
    ['provisioner'],
  ),
  define(
    S.hostDrainRequested,
    'request',
    host.HostDrainRequested,
    'Cordon a host and move its containers to others',
    ['operator'],
    ['provisioner'],
  ),
  define(S.hostCordoned, 'fact', host.HostCordoned, 'Nothing new is placed on a host', ['provisioner'], []),
  define(S.hostUncordoned, 'fact', host.HostUncordoned, 'A host takes containers again', ['provisioner'], []),
  define(S.hostDrained, 'fact', host.HostDrained, 'Nothing is left on a drained host', ['provisioner'], []),
  define(S.hostRejected, 'fact', host.HostRejected, 'A request about a host was refused', ['provisioner'], []),

  define(
    'desired.host.*.container.*',
    'desired',
    ContainerConfig,
    'The container config, last value per container',
    ['provisioner'],
    ['host-agent'],
  ),
  define(
    HOST_REPORTS,
    'report',
    reports.ContainerReport,
    'What a host says of one container',
    ['host-agent'],
    ['provisioner'],
  ),
  define(
    MASTER_REPORTS,
    'report',
    reports.MasterReport,
    'What a storage node says of one image',
    ['distributor'],
    ['provisioner'],
  ),
  define(
    HOST_HEARTBEATS,
    'heartbeat',
    reports.HostHeartbeat,
    'A host lives; its capacity and load',
    ['host-agent'],
    ['provisioner'],
  ),
  define(
    STORAGE_HEARTBEATS,
    'heartbeat',
    reports.StorageHeartbeat,
    'A storage node lives; its masters and disk',
    ['distributor'],
    ['provisioner'],
  ),

  define(QUERIES.containers, 'query', queries.ContainersQuery, 'List containers', PEOPLE, ['provisioner']),
  define(QUERIES.container, 'query', queries.ContainerQuery, 'One container with config and history', PEOPLE, [
    'provisioner',
  ]),
  define(QUERIES.images, 'query', queries.ImagesQuery, 'List image versions', PEOPLE, ['provisioner']),
  define(QUERIES.hosts, 'query', queries.HostsQuery, 'List hosts', PEOPLE, ['provisioner']),
  define(QUERIES.storage, 'query', queries.StorageQuery, 'List storage nodes', PEOPLE, ['provisioner']),
  define(QUERIES.build, 'query', queries.BuildQuery, 'One build: recipe, tests, manifest summary, log tail', PEOPLE, [
    'image-builder',
  ]),
  define(QUERIES.imageDiff, 'query', imageQueries.ImageDiffQuery, 'What differs between two image versions', PEOPLE, [
    'image-builder',
  ]),
  define(
    QUERIES.imagePlan,
    'query',
    imageQueries.ImagePlanQuery,
    'What starting a container on an image would mount',
    PEOPLE,
    ['image-builder'],
  ),
  define(QUERIES.rollouts, 'query', queries.RolloutsQuery, 'List rollouts', PEOPLE, ['provisioner']),
  define(QUERIES.rollout, 'query', queries.RolloutQuery, 'One rollout with its containers', PEOPLE, ['provisioner']),
  define(
    QUERIES.dropDeadLetters,
    'query',
    queries.DropDeadLetters,
    'Remove dead letters',
    ['operator'],
    ['provisioner'],
  ),
  define('agent.*.exec', 'query', queries.ExecQuery, 'Run a command in a container', ['operator'], ['host-agent']),
  define('agent.*.logs', 'query', queries.LogsQuery, "Read a container's log", ['operator'], ['host-agent']),
  define(
    'agent.*.stats',
    'query',
    queries.StatsQuery,
    'Memory and mounts of running containers',
    ['operator'],
    ['host-agent'],
  ),
];

/** The contract whose subject (with wildcards) is exactly this. */
export function contractOf(subject: string): Contract {
  const found = CATALOGUE.find((contract) => contract.subject === subject);
  if (!found) throw new Error(`no contract for subject ${subject}`);
  return found;
}

/** What a party takes from a stream: each of these is a durable consumer of its own. */
export function consumedBy(party: Party): readonly Contract[] {
  const stored: readonly ContractKind[] = ['request', 'fact', 'report'];
  return CATALOGUE.filter((contract) => stored.includes(contract.kind) && contract.consumers.includes(party));
}
