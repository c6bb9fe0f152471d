import type { WritablePlace } from '@plinth/contracts';
import type { ContainerSpec } from './container-spec.js';
import { assertValidMountPlan, upperMountPoint } from './mount-plan.js';
import { cgroupMount, isSystemContainer, lockMount } from './system-container.js';

/** One mount as data: the shape of an OCI runtime-spec mount, with a sentence for people. */
export interface PlannedMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  readonly describe: string;
}

/** Host directories of one start: what the runtime must know besides the spec. */
export interface MountSources {
  /** Holds `etc/` with the time zone and environment files, see etc-layer.ts. */
  readonly layerRoot: string;
}

/** Paths that stand inside mount options, where `,` and `:` separate and `\` escapes. */
const OPTION_SAFE_PATH = /^(?:\/[A-Za-z0-9_.@+=-]+)+$/;
const DEV_BYTES = 5 * 1024 ** 2;
const SHM_BYTES = 64 * 1024 ** 2;

/**
 * All mounts of a container in order. With a custom mount script only those the script does not make.
 * @throws RangeError for a spec that was not checked
 */
export function planMounts(spec: ContainerSpec, sources: MountSources): readonly PlannedMount[] {
  if (spec.writableRoot === true) return [...kernelMounts(spec), ...buildMounts(spec), ...volumeMounts(spec)];
  if (spec.mountScript.custom) return kernelMounts(spec);
  const locks = isSystemContainer(spec) ? [lockMount()] : [];
  return [...kernelMounts(spec), ...planPlaces(spec, sources), ...locks, ...volumeMounts(spec)];
}

/** /proc, /dev and /sys: always the runtime's work, so that an image without them cannot point elsewhere. */
function kernelMounts(spec: ContainerSpec): PlannedMount[] {
  return [
    mount('/proc', 'proc', 'proc', ['nosuid', 'noexec', 'nodev'], 'processes of this container'),
    mount('/dev', 'tmpfs', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', `size=${DEV_BYTES}`], 'minimal devices'),
    mount(
      '/dev/pts',
      'devpts',
      'devpts',
      ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      'own terminals',
    ),
    mount(
      '/dev/shm',
      'tmpfs',
      'shm',
      ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${SHM_BYTES}`],
      'POSIX shared memory',
    ),
    mount('/dev/mqueue', 'mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev'], 'POSIX message queues'),
    sysMount(spec),
    ...(isSystemContainer(spec) ? [cgroupMount()] : []),
  ];
}

/**
 * A user namespace may mount the kernel's objects of its own network only; crun 1.8 would bind the host's, writable, in
 * their place.
 */
function sysMount({ users, network }: ContainerSpec): PlannedMount {
  if (users === 'own' && network === 'host')
    return mount('/sys', 'tmpfs', 'tmpfs', ['nosuid', 'noexec', 'nodev', 'ro', 'size=4096', 'mode=555'], 'empty');
  return mount('/sys', 'sysfs', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro'], 'kernel objects, read-only');
}

function buildMounts(spec: ContainerSpec): PlannedMount[] {
  if (spec.network !== 'host') return [];
  return [
    mount(
      '/etc/resolv.conf',
      'bind',
      '/etc/resolv.conf',
      ['bind', 'ro', 'nosuid', 'nodev', 'noexec'],
      "the host's resolver",
    ),
  ];
}

/**
 * Steps 2 to 5 of the mount script as runtime mounts: the writable places, with the time zone and environment in /etc.
 */
function planPlaces(spec: ContainerSpec, sources: MountSources): PlannedMount[] {
  assertValidMountPlan(spec.mountPlan);
  const mounts = spec.mountPlan.places.flatMap((place) => placeMounts(place, spec, sources.layerRoot));
  if (spec.mountPlan.places.some((place) => place.content === 'overlay')) {
    const options = ['ro', 'nosuid', 'nodev', 'noexec', 'size=4096', 'nr_inodes=1', 'mode=555'];
    mounts.push(mount('/.plinth', 'tmpfs', 'tmpfs', options, 'hides the upper directories from the container'));
  }
  return mounts;
}

function placeMounts(place: WritablePlace, { imageRoot, users }: ContainerSpec, layerRoot: string): PlannedMount[] {
  const { path, content } = place;
  // Without it an overlay marks what is removed by attributes that a user namespace may not write.
  const marks = users === 'own' ? ['userxattr'] : [];
  const limits = [`size=${place.bytes}`, `nr_inodes=${place.inodes}`];
  const modeOption = `mode=${place.mode.toString(8)}`;
  const lower = [optionSafe(`${imageRoot}${path}`)];
  if (path === '/etc') lower.unshift(optionSafe(`${layerRoot}/etc`));
  if (content === 'overlay') {
    const upper = upperMountPoint(path);
    return [
      mount(
        upper,
        'tmpfs',
        'tmpfs',
        ['nosuid', 'nodev', 'tmpcopyup', 'mode=700', ...limits],
        `memory for what is written to ${path}`,
      ),
      mount(
        path,
        'overlay',
        'overlay',
        [
          'nosuid',
          'nodev',
          `lowerdir=${lower.join(':')}`,
          `upperdir=${imageRoot}${upper}/upper`,
          `workdir=${imageRoot}${upper}/work`,
          ...marks,
        ],
        `${path}: the image's content, writable`,
      ),
    ];
  }
  const tmpfs = ['nosuid', 'nodev', modeOption, ...limits];
  const mounts: PlannedMount[] = [];
  if (path === '/etc') {
    // The memory file system copies what is at its mount point, so the files of this container are put there first.
    if (content === 'empty')
      mounts.push(
        mount(path, 'bind', `${layerRoot}/etc`, ['bind', 'ro', 'nosuid', 'nodev'], 'time zone and environment'),
      );
    else
      mounts.push(
        mount(
          path,
          'overlay',
          'overlay',
          ['ro', 'nosuid', 'nodev', `lowerdir=${lower.join(':')}`, ...marks],
          'time zone and environment over /etc',
        ),
      );
  }
  const copies = content === 'copy' || path === '/etc';
  mounts.push(
    mount(path, 'tmpfs', 'tmpfs', copies ? [...tmpfs, 'tmpcopyup'] : tmpfs, `${path}: memory file system, ${content}`),
  );
  return mounts;
}

/** Steps 6 and 7: /sw read-only, /data read-write. */
function volumeMounts(spec: ContainerSpec): PlannedMount[] {
  const mounts: PlannedMount[] = [];
  if (spec.softwarePath !== undefined) {
    mounts.push(
      mount(
        '/sw',
        'bind',
        spec.softwarePath,
        ['rbind', 'ro', 'nosuid', 'nodev', 'rprivate'],
        'software repository, read-only',
      ),
    );
  }
  if (spec.dataPath !== undefined) {
    mounts.push(
      mount('/data', 'bind', spec.dataPath, ['bind', 'rw', 'nosuid', 'nodev', 'rprivate'], 'data volume, read-write'),
    );
  }
  return mounts;
}

function mount(
  destination: string,
  type: string,
  source: string,
  options: readonly string[],
  describe: string,
): PlannedMount {
  return { destination, type, source, options, describe };
}

function optionSafe(path: string): string {
  if (!OPTION_SAFE_PATH.test(path) || path.includes('/../') || path.endsWith('/..')) {
    throw new RangeError(`${JSON.stringify(path)} cannot stand in a mount option`);
  }
  return path;
}
