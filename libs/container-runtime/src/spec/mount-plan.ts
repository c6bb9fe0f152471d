import type { MountPlan, WritablePlace } from '@plinth/contracts';

/** Sizes of one memory file system, bytes. */
export const PLACE_MIN_BYTES = 4096;
export const PLACE_MAX_BYTES = 2 * 1024 ** 3;
export const PLACE_MIN_INODES = 16;
export const PLACE_MAX_INODES = 4_000_000;
export const MAX_PLACES = 64;
/** Mounted by the runtime itself; no writable place may be one of them, above or below one. */
export const RESERVED_PATHS = ['/proc', '/sys', '/dev', '/sw', '/data', '/.plinth'] as const;

/**
 * Plain components only: a place's path becomes part of mount options, where commas, colons and backslashes have
 * a meaning, and of the directory names below /.plinth, where `+` stands for the slash.
 */
const PLACE_PATH_PATTERN = /^(?:\/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,12}$/;
const CONTENTS: readonly string[] = ['copy', 'overlay', 'empty'];

export interface MountPlanProblem {
  readonly reason:
    | 'too-many-places'
    | 'bad-path'
    | 'reserved-path'
    | 'duplicate-path'
    | 'parent-after-child'
    | 'bad-size'
    | 'bad-inodes'
    | 'bad-mode'
    | 'bad-content'
    | 'etc-missing';
  /** The place at fault; empty when it is the plan as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Everything wrong with a plan; empty when it may be mounted. Pure. */
export function validateMountPlan(plan: MountPlan): readonly MountPlanProblem[] {
  const problems: MountPlanProblem[] = [];
  const refuse = (reason: MountPlanProblem['reason'], path: string, message: string): void => {
    problems.push({ reason, path, message });
  };
  if (plan.places.length > MAX_PLACES) {
    refuse('too-many-places', '', `${plan.places.length} writable places, at most ${MAX_PLACES} are allowed`);
  }
  if (!plan.places.some((place) => place.path === '/etc')) {
    refuse('etc-missing', '', '/etc must be a writable place: the time zone and the environment are set in it');
  }
  const seen: string[] = [];
  for (const place of plan.places) {
    if (!PLACE_PATH_PATTERN.test(place.path)) {
      refuse('bad-path', place.path, `${JSON.stringify(place.path)} is not an absolute path of plain components`);
      continue;
    }
    const reserved = RESERVED_PATHS.find((path) => isWithin(place.path, path));
    if (reserved !== undefined)
      refuse('reserved-path', place.path, `${place.path} overlaps ${reserved}, which the runtime mounts`);
    if (seen.includes(place.path)) refuse('duplicate-path', place.path, `${place.path} is listed twice`);
    for (const child of seen.filter((path) => path !== place.path && isWithin(path, place.path))) {
      refuse('parent-after-child', place.path, `${place.path} stands after ${child}, which it would hide`);
    }
    seen.push(place.path);
    problems.push(...problemsOfPlace(place));
  }
  return problems;
}

function* problemsOfPlace(place: WritablePlace): Generator<MountPlanProblem> {
  const { path, bytes, inodes, mode, content } = place;
  if (!isIntegerBetween(bytes, PLACE_MIN_BYTES, PLACE_MAX_BYTES)) {
    yield {
      reason: 'bad-size',
      path,
      message: `${path}: ${bytes} bytes, must be from ${PLACE_MIN_BYTES} to ${PLACE_MAX_BYTES}`,
    };
  }
  if (!isIntegerBetween(inodes, PLACE_MIN_INODES, PLACE_MAX_INODES)) {
    yield {
      reason: 'bad-inodes',
      path,
      message: `${path}: ${inodes} inodes, must be from ${PLACE_MIN_INODES} to ${PLACE_MAX_INODES}`,
    };
  }
  if (!isIntegerBetween(mode, 0o500, 0o1777) || (mode & 0o6000) !== 0) {
    yield {
      reason: 'bad-mode',
      path,
      message: `${path}: mode ${mode.toString(8)} must be permission bits, sticky bit allowed`,
    };
  }
  if (!CONTENTS.includes(content)) {
    yield {
      reason: 'bad-content',
      path,
      message: `${path}: content ${JSON.stringify(content)} is none of ${CONTENTS.join(', ')}`,
    };
  }
}

/** Throws when the plan is not valid: the last guard before its paths become mount options. */
export function assertValidMountPlan(plan: MountPlan): void {
  const [problem] = validateMountPlan(plan);
  if (problem !== undefined) throw new RangeError(`mount plan: ${problem.message}`);
}

/** Where a place's upper and work directories live: `/var/log` → `/.plinth/var+log`. */
export function upperMountPoint(path: string): string {
  return `/.plinth/${path.slice(1).replaceAll('/', '+')}`;
}

export interface RequiredDirectory {
  /** Relative to the image's root, without a leading slash. */
  readonly path: string;
  /** Mode bits; the owner is root unless {@link like} names another. */
  readonly mode: number;
  /** The place whose owner the directory takes over: an overlay shows its upper directory's owner and mode. */
  readonly like?: string;
}

/**
 * The empty directories an image must hold for its plan, beside REQUIRED_MOUNT_POINTS: each place itself, and for each
 * overlay its upper and work directory. The runtime copies them into the memory file system, so no process has to make
 * them.
 */
export function requiredDirectories(plan: MountPlan): readonly RequiredDirectory[] {
  const directories: RequiredDirectory[] = [];
  for (const place of plan.places) {
    directories.push({ path: place.path.slice(1), mode: place.mode });
    if (place.content !== 'overlay') continue;
    const upper = upperMountPoint(place.path).slice(1);
    directories.push({ path: upper, mode: 0o700 });
    directories.push({ path: `${upper}/upper`, mode: place.mode, like: place.path.slice(1) });
    directories.push({ path: `${upper}/work`, mode: 0o700 });
  }
  return directories;
}

function isIntegerBetween(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(`${ancestor}/`);
}
