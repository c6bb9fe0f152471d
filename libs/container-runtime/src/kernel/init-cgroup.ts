/**
 * Depends on: systemd, which on cgroups of version 1 manages the hierarchy `name=systemd` and needs to own its part of
 * it; crun, which shows a container that hierarchy alone when the annotation `run.oci.systemd.force_cgroup_v1` names the
 * place, and with version 2 gives the container its cgroup by itself. Seen with systemd 252 and crun 1.8.1.
 * Noticed by: system-container.int-spec.ts.
 * Instead: nothing; systemd ends at once with exit code 255.
 */
import { chownSync, existsSync } from 'node:fs';
import { cgroupLayout } from './cgroups.js';

const HIERARCHY = '/sys/fs/cgroup/systemd';

export function initAnnotations(place: string): Readonly<Record<string, string>> {
  return cgroupLayout() === 'unified' ? {} : { 'run.oci.systemd.force_cgroup_v1': place };
}

/** Between the making of a container and its first instruction. @param firstId the host's id of its root */
export function giveInitItsCgroup(group: string, firstId: number): void {
  const directory = HIERARCHY + group;
  if (cgroupLayout() === 'unified' || !existsSync(directory)) return;
  for (const path of [directory, `${directory}/cgroup.procs`, `${directory}/tasks`]) chownSync(path, firstId, firstId);
}
