/**
 * Moving one container to another image: which images it may move to, the config of the trial, and the config that
 * follows the verdict.
 */
import {
  ContainerConfig,
  type ContainerRejectionReason,
  KNOWN_GOOD,
  type MemberPhase,
  type UpdateOptions,
  type UpdateStatus,
  parseImageRef,
} from '@plinth/contracts';
import type { ContainerRecord } from './container-record.js';

/** A version of the requested image, as the provisioner has it. */
export interface UpdateCandidate {
  /** `name@version` */
  readonly image: string;
  readonly state: string;
  readonly contentDigest: string | null;
  /** Storage nodes that hold a checked master of it. */
  readonly storageNodes: readonly string[];
}

export interface UpdateCatalogue {
  readonly candidates: readonly UpdateCandidate[];
  /** Default version per name. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Of the containers' hosts, those that fetch images to stores of their own; absent: none. */
  readonly ownStores?: ReadonlySet<string>;
}

export interface UpdateTarget {
  readonly image: string;
  readonly contentDigest: string;
}

export interface UpdateRefusal {
  readonly ok: false;
  readonly reason: ContainerRejectionReason;
  readonly message: string;
}

export type TargetDecision = { readonly ok: true; readonly target: UpdateTarget } | UpdateRefusal;

const DEFAULT_STABLE_SECONDS = 5;
const DEFAULT_SOAK_SECONDS = 60;
/** How many known-good versions a container remembers. */
const REMEMBERED = 5;

/** @returns `name@version`, or `known-good`; undefined when a name has no default version */
export function exactTarget(to: string, defaults: Readonly<Record<string, string>>): string | undefined {
  const ref = to === KNOWN_GOOD ? undefined : parseImageRef(to);
  if (!ref) return to;
  const version = ref.version ?? defaults[ref.name];
  return version === undefined ? undefined : `${ref.name}@${version}`;
}

/**
 * The image that the container moves to, if it can. Nothing is changed for an image that its storage node does not
 * hold.
 */
export function chooseTarget(record: ContainerRecord, to: string, catalogue: UpdateCatalogue): TargetDecision {
  const { config } = record;
  if (to === KNOWN_GOOD) return newestKnownGood(record, catalogue);
  const image = exactTarget(to, catalogue.defaults);
  if (image === undefined)
    return refuse('image-unavailable', `${to} has no default version; name one, such as ${to}@v1`);
  if (image === config.image && !onTrial(record))
    return refuse('already-on-image', `${config.name} is on ${image} already; plinth restart starts it again`);
  return judge(
    catalogue.candidates.find((candidate) => candidate.image === image),
    image,
    config,
    catalogue,
  );
}

function newestKnownGood(record: ContainerRecord, catalogue: UpdateCatalogue): TargetDecision {
  const { config } = record;
  for (const image of record.knownGood) {
    if (image === config.image) continue;
    const decision = judge(
      catalogue.candidates.find((candidate) => candidate.image === image),
      image,
      config,
      catalogue,
    );
    if (decision.ok) return decision;
  }
  return { ok: false, ...noKnownGood(config.name, config.storageNode) };
}

/** Why a container has no image to go back to. @param name of the container */
export function noKnownGood(name: string, storageNode: string): Pick<UpdateRefusal, 'reason' | 'message'> {
  return {
    reason: 'no-known-good',
    message: `${name} has no other known-good version that can be served on ${storageNode}; name the version to move to`,
  };
}

function judge(
  found: UpdateCandidate | undefined,
  image: string,
  { host, storageNode }: ContainerConfig,
  { ownStores }: UpdateCatalogue,
): TargetDecision {
  if (!found) return refuse('image-unavailable', `there is no image ${image}; plinth image ls lists all images`);
  if (found.state !== 'promoted')
    return refuse('image-unavailable', `${image} is ${found.state}: no container can be started on it`);
  const isThere = ownStores?.has(host) === true || found.storageNodes.includes(storageNode);
  if (found.contentDigest === null || !isThere) {
    return refuse(
      'image-unavailable',
      `storage node ${storageNode} does not hold ${image} (yet); plinth image show ${image} lists the nodes that do`,
    );
  }
  return { ok: true, target: { image, contentDigest: found.contentDigest } };
}

function onTrial(record: ContainerRecord): boolean {
  return record.config.update !== undefined;
}

export interface UpdateIds {
  readonly updateId: string;
  readonly rolloutId?: string;
}

interface UpdateTimes {
  readonly requestedAt: string;
  readonly decidedAt: string;
}

/** The next config: a fresh start on another image. */
function configFor(
  { config }: ContainerRecord,
  { image, contentDigest }: UpdateTarget,
  times: UpdateTimes,
  update: ContainerConfig['update'],
): ContainerConfig {
  const generation = config.generation + 1;
  return Object.assign(new ContainerConfig(), config, {
    generation,
    runGeneration: generation,
    image,
    contentDigest,
    imageAsked: image,
    fallbackReason: undefined,
    update,
    ...times,
  });
}

/** The record with the new image on trial. @param fallback the image it is reverted to, see {@link fallbackImage} */
export function beginUpdate(
  record: ContainerRecord,
  target: UpdateTarget,
  options: UpdateOptions,
  ids: UpdateIds,
  fallback: UpdateTarget,
  times: UpdateTimes,
): ContainerRecord {
  const config = configFor(record, target, times, {
    updateId: ids.updateId,
    rolloutId: ids.rolloutId,
    knownGood: {
      image: fallback.image,
      contentDigest: fallback.contentDigest,
      runGeneration: record.config.update?.knownGood.runGeneration ?? record.config.runGeneration,
    },
    stableSeconds: options.stableSeconds ?? DEFAULT_STABLE_SECONDS,
    soakSeconds: options.soakSeconds ?? DEFAULT_SOAK_SECONDS,
    snapshotData: options.snapshotData,
  });
  const update: UpdateStatus = {
    updateId: ids.updateId,
    rolloutId: ids.rolloutId ?? null,
    state: 'switching',
    from: fallback.image,
    to: target.image,
    reason: null,
    message: null,
    at: times.decidedAt,
  };
  return { ...record, config, update };
}

/** The image to which a failed update of this container is reverted: while an image is on trial, the one before it. */
export function fallbackImage(record: ContainerRecord): UpdateTarget {
  const { config } = record;
  return config.update ? config.update.knownGood : { image: config.image, contentDigest: config.contentDigest };
}

/**
 * The record after a person or a rollout has requested the previous image: no gate, and no further image to revert to.
 */
export function beginRestore(record: ContainerRecord, target: UpdateTarget, times: UpdateTimes): ContainerRecord {
  const config = configFor(record, target, times, undefined);
  const knownGood = record.knownGood.filter((image) => image !== record.config.image);
  const update = record.update && {
    ...record.update,
    state: 'reverted' as const,
    message: 'reverted with its rollout',
    at: times.decidedAt,
  };
  return { ...record, config, knownGood, update };
}

export type Verdict = 'updated' | 'reverted' | 'refused';

/**
 * The record after the host's verdict: the new config restarts nothing. A verdict about another update than the present
 * one changes only the known-good images.
 */
export function settleUpdate(
  record: ContainerRecord,
  updateId: string,
  verdict: Verdict,
  decidedAt: string,
): ContainerRecord {
  const { config } = record;
  const trial = config.update;
  if (trial?.updateId !== updateId) return record;
  const generation = config.generation + 1;
  const kept = { generation, update: undefined, decidedAt };
  if (verdict === 'updated') {
    const knownGood = remember([config.image, trial.knownGood.image, ...record.knownGood]);
    return { ...record, knownGood, config: Object.assign(new ContainerConfig(), config, kept) };
  }
  const { image, contentDigest, runGeneration } = trial.knownGood;
  const back = { image, contentDigest, imageAsked: image };
  // A reverted container was started at the update's own run generation. After a refusal it runs on as it was started
  // before.
  const run = verdict === 'refused' ? { runGeneration } : {};
  const knownGood = verdict === 'reverted' ? remember([image, ...record.knownGood]) : record.knownGood;
  return { ...record, knownGood, config: Object.assign(new ContainerConfig(), config, kept, back, run) };
}

function remember(images: readonly string[]): readonly string[] {
  return [...new Set(images)].slice(0, REMEMBERED);
}

function refuse(reason: ContainerRejectionReason, message: string): UpdateRefusal {
  return { ok: false, reason, message };
}

/** The result for the member of a rollout that has this update. */
export interface UpdateVerdict {
  readonly updateId: string;
  readonly phase: MemberPhase;
  readonly reason: string | null;
  readonly message: string | null;
}
