/**
 * Depends on: systemd, which on cgroups of version 1 manages the hierarchy `name=systemd` and needs to own its part of
 * it; crun, which shows a container that hierarchy alone when the annotation `run.oci.systemd.force_cgroup_v1` names the
 * place, and with version 2 gives the container its cgroup by itself. Seen with systemd 252 and crun 1.8.1.
 * Noticed by: system-container.int-spec.ts.
 * Instead: nothing; systemd ends at once with exit code 255.
 */
import { chownSync, existsSync } from 'node:fs';
import { CGROUPS, cgroupVersion } from './cgroup-tree.js';
import { writeLimit } from './cgroup-shares.js';
import { INIT_GROUP_FILES } from './limit-files.js';

const HIERARCHY = `${CGROUPS}/systemd`;

export function initAnnotations(place: string): Readonly<Record<string, string>> {
  return cgroupVersion() === 2 ? {} : { 'run.oci.systemd.force_cgroup_v1': place };
}

/**
 * Between the making of a container and its first instruction: the group is its root's own, and on version 2 what is
 * made below it has limits, which stay the host's.
 * @param firstId the host's id of its root
 */
export function giveInitItsCgroup(group: string, firstId: number): void {
  const version = cgroupVersion();
  if (version === 2) for (const limit of INIT_GROUP_FILES) writeLimit(version, group, limit);
  const directory = HIERARCHY + group;
  if (version === 2 || !existsSync(directory)) return;
  for (const path of [directory, `${directory}/cgroup.procs`, `${directory}/tasks`]) chownSync(path, firstId, firstId);
}
