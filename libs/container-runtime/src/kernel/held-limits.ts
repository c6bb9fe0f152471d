/**
 * Which limits the cgroups of this machine can hold. A container has each of them, so a machine that lacks one is not
 * for untrusted tenants.
 *
 * Depends on: a directory for each controller with version 1; `cgroup.controllers` and `cgroup.subtree_control` with
 * version 2, where a group that is not the machine's root passes no controller on while it has processes of its own. On
 * a hybrid machine version 1 counts, because crun uses that. Seen with Linux 6.18.
 * Noticed by: the agent's start, `doctor`; held-limits.spec.ts, users.int-spec.ts.
 * Instead: nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import type { ResourceLimits } from '../spec/container-spec.js';
import { CGROUPS, cgroupVersion, type CgroupVersion } from './cgroup-tree.js';

/** A limit that containers can't be held to, and why. */
export interface MissingLimit {
  readonly limit: HeldLimit;
  readonly message: string;
}

export type HeldLimit = 'memory' | 'cpus' | 'pids';

/** `required`: a container does not start without a limit that it should have. `preferred`: it does. */
export type LimitPolicy = (typeof LIMIT_POLICIES)[number];
export const LIMIT_POLICIES = ['required', 'preferred'] as const;

const CONTROLLERS: Readonly<Record<HeldLimit, string>> = { memory: 'memory', cpus: 'cpu', pids: 'pids' };
const FIELDS: Readonly<Record<HeldLimit, keyof ResourceLimits>> = { memory: 'memoryBytes', cpus: 'cpus', pids: 'pids' };

/** What the kernel shows of a machine's cgroups. */
export interface CgroupReading {
  readonly version: CgroupVersion;
  /** Version 1: the mounted hierarchies. Version 2: what the root of the tree could pass on. */
  readonly controllers: readonly string[];
  /** Version 2: what the root of the tree passes on already. */
  readonly passedOn: readonly string[];
  /** Version 2: the root of the tree is a group of a namespace, and has processes. */
  readonly isBusy: boolean;
}

/** Reads only. Empty: all can be held. */
export function missingLimits(): readonly MissingLimit[] {
  return missingIn(readCgroups());
}

/** Pure. */
export function missingIn(reading: CgroupReading): readonly MissingLimit[] {
  return (Object.keys(CONTROLLERS) as HeldLimit[]).flatMap((limit) => {
    const why = problemOf(CONTROLLERS[limit], reading);
    return why === undefined ? [] : [{ limit, message: `${CONTROLLERS[limit]}: ${why}` }];
  });
}

/** Pure. The limits as far as they can be held. */
export function heldLimits(limits: ResourceLimits, missing: readonly MissingLimit[]): ResourceLimits {
  const absent = missing.map(({ limit }) => [FIELDS[limit], undefined]);
  return { ...limits, ...(Object.fromEntries(absent) as Partial<ResourceLimits>) };
}

/** Pure. Those of the limits asked for that can't be held. */
export function unheldLimits(limits: ResourceLimits, missing: readonly MissingLimit[]): readonly MissingLimit[] {
  return missing.filter(({ limit }) => limits[FIELDS[limit]] !== undefined);
}

function problemOf(controller: string, reading: CgroupReading): string | undefined {
  const { version, controllers, passedOn, isBusy } = reading;
  if (!controllers.includes(controller))
    return version === 2
      ? 'cgroups of version 2 do not have this controller here: it is switched off, or on version 1'
      : 'no hierarchy of version 1 has this controller: it is switched off, not mounted, or on version 2; ' +
          'systemd.unified_cgroup_hierarchy=1 has all of them on version 2';
  if (version === 2 && isBusy && !passedOn.includes(controller))
    return 'processes are in the group that is the root here, so it passes no controller on; use the cgroup namespace of the host';
  return undefined;
}

function readCgroups(): CgroupReading {
  const version = cgroupVersion();
  const words = (file: string): string[] => readOrEmpty(`${CGROUPS}/${file}`).split(/\s+/).filter(Boolean);
  if (version === 1)
    return {
      version,
      controllers: Object.values(CONTROLLERS).filter((name) => existsSync(`${CGROUPS}/${name}/cgroup.procs`)),
      passedOn: [],
      isBusy: false,
    };
  return {
    version,
    controllers: words('cgroup.controllers'),
    passedOn: words('cgroup.subtree_control'),
    // The root of the machine has no type.
    isBusy: existsSync(`${CGROUPS}/cgroup.type`) && words('cgroup.procs').length > 0,
  };
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EOPNOTSUPP', 'ENOTSUP')) return '';
    throw error;
  }
}
