/** The fact that answers a request which broke its contract: pure, so that every service answers in the same way. */
import {
  type ContainerOperation,
  type EventOf,
  type HostOperation,
  type ImageOperation,
  NAME_PATTERN,
  type Problem,
  type RebalanceOperation,
  type RolloutOperation,
  SUBJECTS,
  type TenantOperation,
} from '@plinth/contracts';

const IMAGE_OPERATIONS: Readonly<Record<string, ImageOperation>> = {
  [SUBJECTS.imageRequested]: 'build',
  [SUBJECTS.imagePromotionRequested]: 'promotion',
  [SUBJECTS.imageActivationRequested]: 'activation',
  [SUBJECTS.imageRevocationRequested]: 'revocation',
  [SUBJECTS.imageRetirementRequested]: 'retirement',
  [SUBJECTS.imagePrefetchRequested]: 'prefetch',
  [SUBJECTS.imagePinRequested]: 'pin',
  [SUBJECTS.imageEvictRequested]: 'evict',
};
const CONTAINER_OPERATIONS: Readonly<Record<string, ContainerOperation>> = {
  [SUBJECTS.containerRequested]: 'create',
  [SUBJECTS.containerStopRequested]: 'stop',
  [SUBJECTS.containerStartRequested]: 'start',
  [SUBJECTS.containerRestartRequested]: 'restart',
  [SUBJECTS.containerRemoveRequested]: 'remove',
  [SUBJECTS.containerUpdateRequested]: 'update',
  [SUBJECTS.containerChangeRequested]: 'change',
};
const ROLLOUT_OPERATIONS: Readonly<Record<string, RolloutOperation>> = {
  [SUBJECTS.rolloutRequested]: 'start',
  [SUBJECTS.rolloutPauseRequested]: 'pause',
  [SUBJECTS.rolloutResumeRequested]: 'resume',
  [SUBJECTS.rolloutAbortRequested]: 'abort',
  [SUBJECTS.rolloutRevertRequested]: 'revert',
  [SUBJECTS.rolloutApprovalRequested]: 'approve',
};
const HOST_OPERATIONS: Readonly<Record<string, HostOperation>> = {
  [SUBJECTS.hostCordonRequested]: 'cordon',
  [SUBJECTS.hostUncordonRequested]: 'uncordon',
  [SUBJECTS.hostDrainRequested]: 'drain',
  [SUBJECTS.hostLabelRequested]: 'label',
};

const REBALANCE_OPERATIONS: Readonly<Record<string, RebalanceOperation>> = {
  [SUBJECTS.rebalanceRequested]: 'start',
  [SUBJECTS.rebalanceCancelRequested]: 'cancel',
};

const TENANT_OPERATIONS: Readonly<Record<string, TenantOperation>> = {
  [SUBJECTS.tenantChangeRequested]: 'change',
};

export type Rejection = EventOf<
  | typeof SUBJECTS.imageRejected
  | typeof SUBJECTS.containerRejected
  | typeof SUBJECTS.rolloutRejected
  | typeof SUBJECTS.hostRejected
  | typeof SUBJECTS.tenantRejected
  | typeof SUBJECTS.rebalanceRejected
>;

/** @returns undefined for subjects on which no sender waits for an answer */
export function rejectionOf(
  subject: string,
  requestId: string,
  reason: 'invalid-request' | 'internal-error',
  problems: readonly Problem[],
  body: Uint8Array,
): Rejection | undefined {
  const message =
    reason === 'internal-error'
      ? 'the request could not be handled; it lies in the dead letters'
      : `the request is not valid: ${problems.map((problem) => (problem.path ? `${problem.path}: ${problem.message}` : problem.message)).join('; ')}`.slice(
          0,
          2000,
        );
  const image = IMAGE_OPERATIONS[subject];
  if (image) {
    return {
      subject: SUBJECTS.imageRejected,
      data: { operation: image, requestId, reason, message, problems: [...problems] },
    };
  }
  const rollout = ROLLOUT_OPERATIONS[subject];
  if (rollout) {
    return {
      subject: SUBJECTS.rolloutRejected,
      data: { operation: rollout, requestId, reason, message, problems: [...problems] },
    };
  }
  const host = HOST_OPERATIONS[subject];
  if (host) {
    return {
      subject: SUBJECTS.hostRejected,
      data: { operation: host, requestId, reason, message, problems: [...problems] },
    };
  }
  const tenant = TENANT_OPERATIONS[subject];
  if (tenant) {
    return {
      subject: SUBJECTS.tenantRejected,
      data: { operation: tenant, requestId, reason, message, problems: [...problems] },
    };
  }
  const rebalance = REBALANCE_OPERATIONS[subject];
  if (rebalance) {
    return {
      subject: SUBJECTS.rebalanceRejected,
      data: { operation: rebalance, requestId, reason, message, problems: [...problems] },
    };
  }
  const operation = CONTAINER_OPERATIONS[subject];
  if (operation) {
    return {
      subject: SUBJECTS.containerRejected,
      data: { operation, requestId, reason, message, problems: [...problems], ...namesIn(body) },
    };
  }
  return undefined;
}

/** Name and tenant, when the broken body still holds usable ones: they help the sender to find its request. */
function namesIn(body: Uint8Array): { name?: string; tenant?: string } {
  if (body.length > 64 * 1024) return {};
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (parsed === null || typeof parsed !== 'object') return {};
    const usable = (value: unknown): string | undefined =>
      typeof value === 'string' && NAME_PATTERN.test(value) ? value : undefined;
    const { name, tenant } = parsed as { name?: unknown; tenant?: unknown };
    return { name: usable(name), tenant: usable(tenant) };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return {};
    throw error;
  }
}
