/** What needs an image version, and which versions nothing needs. */
import {
  type ContainerStatus,
  type ImageSummary,
  QUERIES,
  type RolloutDetails,
  versionNumber,
} from '@plinth/contracts';
import { ClientError, type PlinthClient } from './plinth-client.js';
import { withAllMembers } from './rollout-requests.js';

/**
 * `on`: by its config; `returns`: it is on trial on another and goes back to it; `remembers`: it is known good there,
 * or its host has not left it yet.
 */
export type Relation = 'on' | 'returns' | 'remembers';

export interface Use {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly host: string | null;
  readonly state: string;
  readonly relation: Relation;
}

export interface BlastRadius {
  readonly image: string;
  readonly state: string;
  readonly defaultVersion: boolean;
  readonly defaultOs: boolean;
  readonly storageNodes: readonly string[];
  /** Containers by tenant, and by host. */
  readonly tenants: Readonly<Record<string, number>>;
  readonly hosts: Readonly<Record<string, number>>;
  readonly containers: readonly Use[];
  /** Ids of rollouts that have not ended and go to it or come from it. */
  readonly rollouts: readonly string[];
}

/** @throws ClientError `image-not-found` */
export async function blastRadius(client: PlinthClient, ref: string): Promise<BlastRadius> {
  const summary = (await client.images(ref.split('@')[0])).find((image) => refOf(image) === ref);
  if (!summary)
    throw new ClientError(
      `there is no image ${ref}; plinth image ls shows what there is, each with its version`,
      'image-not-found',
    );
  const containers = (await client.containers({ needs: ref })).map((container) => useOf(container, ref));
  const { state, defaultVersion, defaultOs, storageNodes } = summary;
  return {
    image: ref,
    state,
    defaultVersion,
    defaultOs,
    storageNodes,
    tenants: countBy(containers.map(({ tenant }) => tenant)),
    hosts: countBy(containers.map(({ host }) => host ?? '-')),
    containers,
    rollouts: rolloutsOf(await activeRollouts(client), ref),
  };
}

function useOf({ id, name, tenant, host, state, image, update }: ContainerStatus, ref: string): Use {
  const onTrial = update?.state === 'switching' || update?.state === 'reverting';
  const relation = image === ref ? 'on' : onTrial && update.from === ref ? 'returns' : 'remembers';
  return { id, name, tenant, host, state, relation };
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1)));
}

/** Rollouts that have not ended, with their containers. */
export async function activeRollouts(client: PlinthClient): Promise<readonly RolloutDetails[]> {
  const found: RolloutDetails[] = [];
  for (const { id } of await client.list(QUERIES.rollouts, {}))
    found.push(await withAllMembers(client, await client.query(QUERIES.rollout, { id })));
  return found;
}

export function rolloutsOf(rollouts: readonly RolloutDetails[], ref: string): readonly string[] {
  return rollouts
    .filter(({ to, members }) => to === ref || members.some((member) => member.from === ref || member.to === ref))
    .map(({ id }) => id);
}

export function refOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`;
}

export interface Candidate {
  readonly image: string;
  readonly state: string;
  /** Why it stays, from the version alone; undefined: it may go unless something needs it. */
  readonly keep: string | undefined;
}

/**
 * Versions in production, or that were, oldest last within their name.
 * @param keep so many of the newest of each name stay
 */
export function collectable(images: readonly ImageSummary[], keep: number): readonly Candidate[] {
  const inProduction = images.filter(({ state }) => state === 'promoted' || state === 'revoked');
  const names = [...new Set(inProduction.map(({ name }) => name))].sort();
  return names.flatMap((name) =>
    inProduction
      .filter((image) => image.name === name)
      .sort((a, b) => versionNumber(b.version) - versionNumber(a.version))
      .map((image, index) => ({ image: refOf(image), state: image.state, keep: reasonToKeep(image, index, keep) })),
  );
}

function reasonToKeep(image: ImageSummary, index: number, keep: number): string | undefined {
  if (index < keep) return keep === 1 ? 'the newest' : `one of the newest ${keep}`;
  return image.defaultVersion ? 'the default of its name' : undefined;
}
