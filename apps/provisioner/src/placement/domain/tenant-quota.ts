/** What a tenant may have at once. */
import type { Resources } from './placement.js';

export interface TenantQuota {
  /** Absent: no limit. */
  readonly containers?: number;
  /** Sum of the containers' memory limits, bytes. Absent: no limit. */
  readonly memoryBytes?: number;
  /** What its data volumes may take when it asks for one more, bytes. Absent: no limit. */
  readonly diskBytes?: number;
}

export interface TenantUsage {
  readonly containers: number;
  readonly memoryBytes: number;
  /** As it was measured last. */
  readonly diskBytes: number;
}

/** @returns why the tenant may not have this container too; undefined: it may */
export function quotaRefusal(
  tenant: string,
  usage: TenantUsage,
  asked: Resources,
  quota: TenantQuota,
): string | undefined {
  if (quota.containers !== undefined && usage.containers + 1 > quota.containers) {
    return `tenant ${tenant} has ${usage.containers} of ${quota.containers} containers; remove one first`;
  }
  if (quota.memoryBytes !== undefined && usage.memoryBytes + asked.memoryBytes > quota.memoryBytes) {
    return `tenant ${tenant} has given out ${mebibytes(usage.memoryBytes)} of its ${mebibytes(quota.memoryBytes)} of memory, ${mebibytes(asked.memoryBytes)} more are too many`;
  }
  if (quota.diskBytes !== undefined && usage.diskBytes >= quota.diskBytes) {
    return `the data of tenant ${tenant} take ${mebibytes(usage.diskBytes)} of its ${mebibytes(quota.diskBytes)} of disk; free some first, it is measured from time to time`;
  }
  return undefined;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
