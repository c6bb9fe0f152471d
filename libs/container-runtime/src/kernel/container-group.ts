/**
 * Where the cgroup of a container is that may run already.
 *
 * Depends on: nothing but the names; what agents before this one have started stays where they put it.
 * Noticed by: container-group.int-spec.ts.
 * Instead: nothing is needed when no container of such an agent runs any more.
 */
import { existsSync } from 'node:fs';
import { cgroupPath } from '../spec/oci-config.js';
import { cgroupHierarchies, directoriesIn } from './cgroup-tree.js';

/** In which agents before this one have put all containers. */
const FORMER_PARENT = '/plinth';
const GROUP = /^plinth-([0-9a-f]{32})\.(.+)$/;
const FORMER_GROUP = /^([0-9a-f]{32})\.(.+)$/;

/** The cgroup that the container has, or will get. */
export function containerGroup(id: string, instance: string): string {
  const former = `${FORMER_PARENT}/${id}.${instance}`;
  return formerParents().some((parent) => existsSync(`${parent}/${id}.${instance}`))
    ? former
    : cgroupPath(id, instance);
}

/** Ids that have a cgroup of the instance: what is left of a container when everything else is lost. */
export function cgroupContainerIds(instance: string): readonly string[] {
  const names = [
    ...cgroupHierarchies().flatMap((hierarchy) => directoriesIn(hierarchy).map((name) => GROUP.exec(name))),
    ...formerParents().flatMap((parent) => directoriesIn(parent).map((name) => FORMER_GROUP.exec(name))),
  ];
  return [...new Set(names.flatMap((match) => (match?.[1] !== undefined && match[2] === instance ? match[1] : [])))];
}

/** In each hierarchy that has one. */
export function formerParents(): string[] {
  return cgroupHierarchies().flatMap((hierarchy) => {
    const parent = hierarchy + FORMER_PARENT;
    return existsSync(parent) ? parent : [];
  });
}
