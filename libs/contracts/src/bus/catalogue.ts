/**
 * Every contract: subject, classes, who publishes and who consumes. The compiler checks by it; JSON Schemas and the
 * AsyncAPI document are made from it.
 */
import { ContainerConfig } from '../container-config.js';
import { HostImages, ProductionImage } from '../production-image.js';
import { TenantEgress } from '../tenant-egress.js';
import { TenantNeighbours } from '../tenant-neighbours.js';
import { type Contract, type ContractKind, define, type Party } from './contract.js';
import { asked, official, ordered } from './contract-shapes.js';
import { DeadLetterBody } from './dead-letter.js';
import * as change from './events/change-events.js';
import * as container from './events/container-facts.js';
import * as containerRequest from './events/container-requests.js';
import * as heartbeats from './events/heartbeats.js';
import * as host from './events/host-events.js';
import { HostImageReport } from './events/image-cache-events.js';
import * as rebalance from './events/rebalance-events.js';
import * as reports from './events/reports.js';
import * as rollout from './events/rollout-events.js';
import * as storage from './events/storage-events.js';
import * as tenant from './events/tenant-events.js';
import * as update from './events/update-events.js';
import { RolloutStatus } from './rollout-status.js';
import * as status from './status.js';
import {
  containerStatus,
  deadLetter,
  desiredContainer,
  desiredHostImages,
  desiredImage,
  desiredNeighbours,
  desiredTenantEgress,
  HOST_HEARTBEATS,
  HOST_IMAGE_REPORTS,
  HOST_REPORTS,
  hostStatus,
  imageStatus,
  MASTER_REPORTS,
  rolloutStatus,
  STORAGE_HEARTBEATS,
  storageStatus,
  SUBJECTS as S,
} from './subjects.js';
import { IMAGE_CONTRACTS } from './image-contracts.js';
import { QUERY_CONTRACTS } from './query-contracts.js';

export const CATALOGUE = [
  ...IMAGE_CONTRACTS,

  asked(S.containerRequested, containerRequest.ContainerRequested, 'Create and start a container'),
  asked(S.containerStopRequested, containerRequest.ContainerStopRequested, 'Stop a container'),
  asked(S.containerStartRequested, containerRequest.ContainerStartRequested, 'Start a stopped container'),
  asked(S.containerRestartRequested, containerRequest.ContainerRestartRequested, 'Stop and start a container'),
  asked(S.containerRemoveRequested, containerRequest.ContainerRemoveRequested, 'Remove a container'),
  asked(S.containerUpdateRequested, update.ContainerUpdateRequested, 'Move a container to another image'),
  asked(S.containerChangeRequested, change.ContainerChangeRequested, 'Change ports, egress or limits of a container'),
  official(S.containerConfigured, container.ContainerConfigured, 'A config was written and a host chosen'),
  official(S.containerRejected, container.ContainerRejected, 'A request about a container was refused'),
  official(S.containerStarted, container.ContainerStarted, 'A container runs'),
  official(S.containerFailed, container.ContainerFailed, 'A container did not start, or ended for good'),
  official(S.containerStopped, container.ContainerStopped, 'A container ended'),
  official(S.containerHealthy, container.ContainerHealthy, 'A health check succeeds'),
  official(S.containerUnhealthy, container.ContainerUnhealthy, 'A health check failed several times in a row'),
  official(S.containerLimited, container.ContainerLimited, 'A container reached a limit: memory, processes or disk'),
  official(S.containerRemoved, container.ContainerRemoved, 'A container is gone from its host'),
  official(S.containerLost, container.ContainerLost, 'The host of a container is lost'),
  official(S.containerMoved, container.ContainerMoved, 'A container is placed on another host'),
  official(S.containerUpdated, update.ContainerUpdated, 'An update passed gate and soak time'),
  official(S.containerReverted, update.ContainerReverted, 'An update failed, the known good image runs again'),
  official(S.containerChanged, change.ContainerChanged, 'Ports, egress or limits of a container were changed'),

  asked(S.rolloutRequested, rollout.RolloutRequested, 'Move many containers to another image'),
  asked(S.rolloutPauseRequested, rollout.RolloutPauseRequested, 'Begin nothing new'),
  asked(S.rolloutResumeRequested, rollout.RolloutResumeRequested, 'Go on'),
  asked(S.rolloutAbortRequested, rollout.RolloutAbortRequested, 'End a rollout where it is'),
  asked(S.rolloutRevertRequested, rollout.RolloutRevertRequested, 'Go back with everything that was switched'),
  asked(S.rolloutApprovalRequested, rollout.RolloutApprovalRequested, 'Let a waiting rollout go on'),
  official(S.rolloutRejected, rollout.RolloutRejected, 'A request about a rollout was refused'),
  official(S.rolloutStarted, rollout.RolloutStarted, 'A rollout was accepted, its containers are chosen'),
  official(S.rolloutBatchStarted, rollout.RolloutBatchStarted, 'A batch is being switched'),
  official(S.rolloutBatchFinished, rollout.RolloutBatchFinished, 'Every container of a batch was judged'),
  official(S.rolloutPaused, rollout.RolloutPaused, 'A rollout waits for a person'),
  official(S.rolloutResumed, rollout.RolloutResumed, 'A rollout goes on'),
  official(S.rolloutHalted, rollout.RolloutHalted, 'A rollout goes back'),
  official(S.rolloutCompleted, rollout.RolloutCompleted, 'A rollout has ended'),
  official(S.rolloutAborted, rollout.RolloutAborted, 'A rollout was ended where it was'),
  official(S.rolloutReverted, rollout.RolloutReverted, 'Everything that was switched is back'),

  official(S.hostJoined, host.HostJoined, 'The first heartbeat of a host was received'),
  official(S.hostLost, host.HostLost, 'A host missed its heartbeats'),
  official(S.hostRecovered, host.HostRecovered, 'A heartbeat of a lost host was received again'),
  ordered(S.hostCordonRequested, host.HostActionRequested, 'Place nothing new on a host', 'provisioner'),
  ordered(
    S.hostUncordonRequested,
    host.HostActionRequested,
    'Place containers on a host again, end its drain',
    'provisioner',
  ),
  ordered(
    S.hostDrainRequested,
    host.HostDrainRequested,
    'Cordon a host and move its containers to others',
    'provisioner',
  ),
  ordered(S.hostLabelRequested, host.HostLabelRequested, 'Set and remove labels of a host', 'provisioner'),
  official(S.hostCordoned, host.HostCordoned, 'Nothing new is placed on a host'),
  official(S.hostUncordoned, host.HostUncordoned, 'A host takes containers again'),
  official(S.hostDrained, host.HostDrained, 'Nothing is left on a drained host'),
  official(S.hostLabelled, host.HostLabelled, 'Labels of a host were changed by an operator'),
  official(S.hostRejected, host.HostRejected, 'A request about a host was refused'),
  ordered(
    S.tenantChangeRequested,
    tenant.TenantChangeRequested,
    'Change what all containers of a tenant may reach',
    'provisioner',
  ),
  official(S.tenantChanged, tenant.TenantChanged, 'What containers of a tenant may reach was changed'),
  official(S.tenantRejected, tenant.TenantRejected, 'A request about a tenant was refused'),

  ordered(S.rebalanceRequested, rebalance.RebalanceRequested, 'Move containers so that hosts even out', 'provisioner'),
  ordered(S.rebalanceCancelRequested, rebalance.RebalanceCancelRequested, 'Begin no further move', 'provisioner'),
  official(S.rebalanceStarted, rebalance.RebalanceStarted, 'A rebalance was accepted, its moves are planned'),
  official(S.rebalanceCancelled, rebalance.RebalanceCancelled, 'A rebalance begins no further move'),
  official(S.rebalanceFinished, rebalance.RebalanceFinished, 'Nothing of a rebalance is in progress any more'),
  official(S.rebalanceRejected, rebalance.RebalanceRejected, 'A request about a rebalance was refused'),

  official(S.storageJoined, storage.StorageJoined, 'The first heartbeat of a storage node was received'),
  official(S.storageLost, storage.StorageLost, 'A storage node missed its heartbeats'),
  official(S.storageRecovered, storage.StorageRecovered, 'A heartbeat of a lost storage node was received again'),

  define(
    desiredContainer('*', '*'),
    'desired',
    ContainerConfig,
    'The container config, last value per container',
    ['provisioner'],
    ['host-agent'],
  ),
  // Before the parts, whose wildcard it fits, too.
  define(
    desiredTenantEgress('*', '*'),
    'desired',
    TenantEgress,
    'What containers of a tenant may reach from a host, last value per tenant',
    ['provisioner'],
    ['host-agent'],
  ),
  define(
    desiredNeighbours('*', '*', '*'),
    'desired',
    TenantNeighbours,
    "Some of a tenant's containers on all hosts, last value per shard",
    ['provisioner'],
    ['host-agent'],
  ),
  define(
    desiredImage('*', '*'),
    'desired',
    ProductionImage,
    'A version that is or was in production, last value per version',
    ['provisioner'],
    ['distributor', 'host-agent'],
  ),
  define(
    desiredHostImages('*'),
    'desired',
    HostImages,
    "What a host's store holds besides what its containers need, last value per host",
    ['provisioner'],
    ['host-agent'],
  ),
  define(
    HOST_REPORTS,
    'report',
    reports.ContainerReport,
    'What a host reports of one container',
    ['host-agent'],
    ['provisioner'],
  ),
  define(
    HOST_IMAGE_REPORTS,
    'report',
    HostImageReport,
    'What a host reports of one version in its store',
    ['host-agent'],
    ['provisioner'],
  ),
  define(
    MASTER_REPORTS,
    'report',
    reports.MasterReport,
    'What a storage node reports of one image',
    ['distributor'],
    ['provisioner'],
  ),
  define(
    HOST_HEARTBEATS,
    'heartbeat',
    heartbeats.HostHeartbeat,
    'A host lives; its capacity and load',
    ['host-agent'],
    ['provisioner'],
  ),
  define(
    STORAGE_HEARTBEATS,
    'heartbeat',
    heartbeats.StorageHeartbeat,
    'A storage node lives; its masters and disk',
    ['distributor'],
    ['provisioner'],
  ),
  define(containerStatus('*'), 'status', status.ContainerStatus, 'How a container is', ['provisioner'], []),
  define(hostStatus('*'), 'status', status.HostStatus, 'How a host is', ['provisioner'], []),
  define(storageStatus('*'), 'status', status.StorageStatus, 'How a storage node is', ['provisioner'], []),
  define(rolloutStatus('*'), 'status', RolloutStatus, 'Where a rollout is', ['provisioner'], []),
  define(imageStatus('*'), 'status', status.ImageBuildStatus, 'Where a build is', ['image-builder'], []),
  define(
    deadLetter('*'),
    'dead-letter',
    DeadLetterBody,
    'A message that a service could not take',
    ['provisioner', 'image-builder', 'distributor'],
    [],
  ),

  ...QUERY_CONTRACTS,
] as const;

/** The same, for code that reads all of them. */
export const CONTRACTS: readonly Contract[] = CATALOGUE;

/** The contract whose subject (with wildcards) is exactly this. */
export function contractOf(subject: string): Contract {
  const found = CONTRACTS.find((contract) => contract.subject === subject);
  if (!found) throw new Error(`no contract for subject ${subject}`);
  return found;
}

/** The contract that a message's own subject falls under; undefined: there is none. */
export function contractFor(subject: string): Contract | undefined {
  const tokens = subject.split('.');
  return CONTRACTS.find((contract) => {
    const pattern = contract.subject.split('.');
    return pattern.length === tokens.length && pattern.every((token, at) => token === '*' || token === tokens[at]);
  });
}

/** What a party takes from a stream: each of these is a durable consumer of its own. */
export function consumedBy(party: Party): readonly Contract[] {
  const stored: readonly ContractKind[] = ['request', 'fact', 'report'];
  return CONTRACTS.filter((contract) => stored.includes(contract.kind) && contract.consumers.includes(party));
}
