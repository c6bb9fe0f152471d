/** The kinds of last values that the console shows, by the subjects on which they are published. Pure. */
import {
  type ContainerStatus,
  containerStatus,
  type HostStatus,
  hostStatus,
  type ImageBuildStatus,
  imageStatus,
  type RolloutStatus,
  rolloutStatus,
  type StorageStatus,
  storageStatus,
} from '@plinth/contracts';

export interface ValueOf {
  readonly containers: ContainerStatus;
  readonly hosts: HostStatus;
  readonly storage: StorageStatus;
  readonly rollouts: RolloutStatus;
  readonly builds: ImageBuildStatus;
}
export type Topic = keyof ValueOf;

const PREFIXES = (
  [
    [containerStatus(''), 'containers'],
    [hostStatus(''), 'hosts'],
    [storageStatus(''), 'storage'],
    [rolloutStatus(''), 'rollouts'],
    [imageStatus(''), 'builds'],
  ] as const
).map(([prefix, topic]) => ({ prefix, topic }));

/** @returns undefined for a kind that a later version publishes */
export function placeOf(subject: string): { readonly topic: Topic; readonly key: string } | undefined {
  const found = PREFIXES.find(({ prefix }) => subject.startsWith(prefix));
  return found && { topic: found.topic, key: subject.slice(found.prefix.length) };
}
