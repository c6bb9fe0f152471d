/** The resources that a tenant may have at once. */
import type { Resources } from './placement.js';

export interface TenantQuota {
  /** Absent: no limit. */
  readonly containers?: number;
  /** Sum of the containers' memory limits, bytes. Absent: no limit. */
  readonly memoryBytes?: number;
  /** Bytes that its data volumes may take when it requests one more container. Absent: no limit. */
  readonly diskBytes?: number;
}

export interface TenantUsage {
  readonly containers: number;
  readonly memoryBytes: number;
  /** Last measured value. */
  readonly diskBytes: number;
}

/** @returns why the tenant may not have this further container; undefined: it may */
export function quotaRefusal(
  tenant: string,
  usage: TenantUsage,
  asked: Resources & { readonly diskBytes?: number },
  quota: TenantQuota,
): string | undefined {
  if (quota.containers !== undefined && usage.containers + 1 > quota.containers) {
    return `tenant ${tenant} has ${usage.containers} of ${quota.containers} containers; remove one first`;
  }
  if (quota.memoryBytes !== undefined && usage.memoryBytes + asked.memoryBytes > quota.memoryBytes) {
    return (
      `tenant ${tenant} uses ${mebibytes(usage.memoryBytes)} of its ${mebibytes(quota.memoryBytes)} of memory, ` +
      `${mebibytes(asked.memoryBytes)} more are too many`
    );
  }
  if (quota.diskBytes !== undefined && asked.diskBytes !== undefined && asked.diskBytes > quota.diskBytes) {
    return (
      `a data volume of ${mebibytes(asked.diskBytes)} is more than the ${mebibytes(quota.diskBytes)} of disk ` +
      `that tenant ${tenant} may have in all; ask for less`
    );
  }
  if (quota.diskBytes !== undefined && usage.diskBytes >= quota.diskBytes) {
    return (
      `the data of tenant ${tenant} take ${mebibytes(usage.diskBytes)} of its ${mebibytes(quota.diskBytes)} of disk; ` +
      'delete some first, the size is measured periodically'
    );
  }
  return undefined;
}

/** @returns why a container that the tenant has may not get more; undefined: it may */
export function growthRefusal(
  tenant: string,
  usage: TenantUsage,
  asked: { readonly moreMemory: number; readonly diskBytes?: number },
  { memoryBytes, diskBytes }: TenantQuota,
): string | undefined {
  const resources = { memoryBytes: Math.max(0, asked.moreMemory), cpus: 0, containers: 0 };
  const disk = asked.diskBytes;
  return quotaRefusal(
    tenant,
    { ...usage, diskBytes: 0 },
    { ...resources, diskBytes: disk },
    { memoryBytes: asked.moreMemory > 0 ? memoryBytes : undefined, diskBytes },
  );
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
