import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { isAbsolute, normalize } from 'node:path';
import { REQUIRED_MOUNT_POINTS, type Digest } from '@plinth/contracts';
import type { ContainerSpec } from '../spec/container-spec.js';
import { requiredDirectories, validateMountPlan } from '../spec/mount-plan.js';

export type PremountReason =
  | 'image-missing'
  | 'mount-plan-invalid'
  | 'mount-point-not-directory'
  | 'mount-script-missing'
  | 'mount-script-mismatch'
  | 'timezone-missing'
  | 'data-volume-missing'
  | 'data-volume-outside'
  | 'software-missing'
  | 'software-outside';

export type PremountResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: PremountReason; readonly message: string };

export interface PremountInputs {
  /** Digest of the mount script in the image's manifest. */
  readonly mountScriptDigest: Digest;
  /** Host directory that the data volume must lie below. */
  readonly dataRoot: string;
  /** Host directory that the software repository must be, or lie below. */
  readonly softwareRoot: string;
}

/**
 * What must be true before anything is mounted: the image is there and complete, no mount point leads elsewhere, the
 * mount script is the one that was built, and the volumes are where they should be. It costs some twenty lstat calls
 * and starts no process.
 */
export function checkBeforeMount(spec: ContainerSpec, inputs: PremountInputs): PremountResult {
  const image = pathProblem('/', spec.imageRoot);
  if (image !== undefined) return refuse('image-missing', `image at ${spec.imageRoot}: ${image}`);
  const [problem] = validateMountPlan(spec.mountPlan);
  if (problem !== undefined) return refuse('mount-plan-invalid', problem.message);
  for (const point of mountPoints(spec)) {
    const wrong = pathProblem(spec.imageRoot, point);
    if (wrong !== undefined) return refuse('mount-point-not-directory', `/${point} in the image: ${wrong}`);
  }
  const script = checkMountScript(spec, inputs.mountScriptDigest);
  if (!script.ok) return script;
  if (
    spec.timezone !== 'UTC' &&
    lstatSync(`${spec.imageRoot}/usr/share/zoneinfo/${spec.timezone}`, { throwIfNoEntry: false }) === undefined
  ) {
    return refuse('timezone-missing', `the image has no time zone ${spec.timezone}`);
  }
  return checkVolumes(spec, inputs);
}

/** Directories in the image that something is mounted on, relative to its root. */
export function mountPoints(spec: Pick<ContainerSpec, 'mountPlan'>): readonly string[] {
  return [...REQUIRED_MOUNT_POINTS, ...requiredDirectories(spec.mountPlan).map(({ path }) => path)];
}

function checkMountScript(spec: ContainerSpec, expected: Digest): PremountResult {
  const text = readRegularFile(spec.mountScript.path);
  if (text === undefined) return refuse('mount-script-missing', `no mount script at ${spec.mountScript.path}`);
  const found = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  return found === expected
    ? { ok: true }
    : refuse('mount-script-mismatch', `${spec.mountScript.path} is ${found}, the manifest has ${expected}`);
}

function checkVolumes(spec: ContainerSpec, inputs: PremountInputs): PremountResult {
  const volumes = [
    {
      path: spec.dataPath,
      root: inputs.dataRoot,
      missing: 'data-volume-missing',
      outside: 'data-volume-outside',
      mayBeRoot: false,
    },
    {
      path: spec.softwarePath,
      root: inputs.softwareRoot,
      missing: 'software-missing',
      outside: 'software-outside',
      mayBeRoot: true,
    },
  ] as const;
  for (const { path, root, missing, outside, mayBeRoot } of volumes) {
    if (path === undefined) continue;
    const below = path.startsWith(`${root}/`) || (mayBeRoot && path === root);
    if (!below || !isAbsolute(path) || normalize(path) !== path) return refuse(outside, `${path} is not below ${root}`);
    const wrong = pathProblem(root, path.slice(root.length + 1));
    if (wrong !== undefined) return refuse(missing, `${path}: ${wrong}`);
  }
  return { ok: true };
}

/**
 * Why `path` below `root` is not a directory reached through directories only; undefined when it is. Each component is
 * looked at without following links: a symlink on the way would let a mount land elsewhere.
 */
export function pathProblem(root: string, path: string): string | undefined {
  let at = root === '/' ? '' : root;
  for (const component of path.split('/').filter((part) => part !== '')) {
    if (component === '.' || component === '..') return `component ${component} is not allowed`;
    at += `/${component}`;
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (stat === undefined) return `${at} does not exist`;
    if (stat.isSymbolicLink()) return `${at} is a symlink`;
    if (!stat.isDirectory()) return `${at} is not a directory`;
  }
  return lstatSync(at === '' ? '/' : at, { throwIfNoEntry: false })?.isDirectory() === true
    ? undefined
    : `${at} is not a directory`;
}

/** The content of a regular file, not through a symlink; undefined when there is none. */
function readRegularFile(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    return fstatSync(file).isFile() ? readFileSync(file) : undefined;
  } finally {
    closeSync(file);
  }
}

function refuse(reason: PremountReason, message: string): PremountResult {
  return { ok: false, reason, message };
}
