/** Why a start did not succeed, and whether the image or the host is the cause. */
import type { ContainerFailureReason } from '@plinth/contracts';

export interface StartFailure {
  readonly reason: ContainerFailureReason;
  readonly message: string;
  readonly exitCode?: number;
}

const HOST_FAILURES: ReadonlySet<ContainerFailureReason> = new Set<ContainerFailureReason>([
  'lease-lost',
  'volume-held',
  'network-unavailable',
  'network-failed',
  'port-taken',
  'disk-limit-failed',
  'limit-not-held',
  'image-unavailable',
]);

/** Whether the host, and not the image, is why it did not start. */
export const isOfHost = ({ reason }: StartFailure): boolean => HOST_FAILURES.has(reason);
