import type { MountPlan, WritablePlace } from '@plinth/contracts';
import { assertValidMountPlan, upperMountPoint } from './mount-plan.js';

/**
 * The mount plan as a readable POSIX shell script, shipped with every image as `mount.sh`. The runtime gets the plan
 * itself; the script runs, in a jail (script-jail.ts), when a recipe has brought its own – best by editing this one. Both
 * leave the same mounts.
 * It gets, as environment variables: PLINTH_ROOT (the root to mount on), PLINTH_LAYER (a directory whose etc/ holds
 * this container's time zone, environment and network files), PLINTH_TIMEZONE, PLINTH_SW and PLINTH_DATA (paths,
 * empty when there is none), PLINTH_OVERLAY_OPTIONS (begins with a comma, or is empty).
 * Pure. Throws RangeError for a plan that is not valid.
 */
export function generateMountScript(plan: MountPlan): string {
  assertValidMountPlan(plan);
  const { places } = plan;
  const overlays = places.filter((place) => place.content === 'overlay');
  const lines = [
    '#!/bin/sh',
    '# Mount script: prepares the writable places of one container on a shared read-only image.',
    '# Generated from the mount plan in manifest.json; bring your own in the recipe to change it.',
    'set -eu',
    'root=${PLINTH_ROOT:?} layer=${PLINTH_LAYER:?} timezone=${PLINTH_TIMEZONE:?}',
    'sw=${PLINTH_SW-} data=${PLINTH_DATA-} overlay=${PLINTH_OVERLAY_OPTIONS-}',
    '',
    '# 1. Drop what the container technology mounted in the way (deepest first).',
    'drop() {',
    '  while awk -v at="$1" \'$5 == at { found = 1 } END { exit !found }\' /proc/self/mountinfo; do umount -l "$1"; done',
    '}',
    ...[...places].reverse().map((place) => `drop "$root${place.path}"`),
    ...overlays.map((place) => `drop "$root${upperMountPoint(place.path)}"`),
    'drop "$root/sw"',
    'drop "$root/data"',
    '',
    "# 2. and 3. A memory file system for each writable place, with the image's default content in it.",
    ...places.flatMap(placeLines),
    '',
    '# 4. Time zone.',
    ...replacing('etc/localtime', 'ln -s "/usr/share/zoneinfo/$timezone" "$root/etc/localtime"'),
    ...replacing('etc/timezone', 'cp "$layer/etc/timezone" "$root/etc/timezone"'),
    '',
    '# 5. Environment and names, for the process and for users that log in.',
    'for file in environment hostname hosts resolv.conf; do',
    '  [ ! -e "$layer/etc/$file" ] || { rm -f "$root/etc/$file"; cp "$layer/etc/$file" "$root/etc/$file"; }',
    'done',
    'mkdir -p "$root/etc/profile.d"',
    ...replacing('etc/profile.d/plinth.sh', 'cp "$layer/etc/profile.d/plinth.sh" "$root/etc/profile.d/plinth.sh"'),
    ...(overlays.length > 0 ? hidingLines() : []),
    '',
    '# 6. Software repository, read-only.',
    'if [ -n "$sw" ]; then',
    '  mount --rbind "$sw" "$root/sw"',
    '  mount -o remount,bind,ro,nosuid,nodev "$root/sw"',
    'fi',
    '',
    '# 7. Data volume, read-write.',
    'if [ -n "$data" ]; then',
    '  mount --bind "$data" "$root/data"',
    '  mount -o remount,bind,rw,nosuid,nodev "$root/data"',
    'fi',
  ];
  return `${lines.join('\n')}\n`;
}

function placeLines(place: WritablePlace): string[] {
  const { path, content } = place;
  const limits = `nosuid,nodev,size=${place.bytes},nr_inodes=${place.inodes}`;
  const mode = place.mode.toString(8);
  if (content === 'empty') return [`mount -t tmpfs -o ${limits},mode=${mode} tmpfs "$root${path}"`];
  if (content === 'copy') {
    // The image's directory is hidden by the mount, so it is held open by a working directory.
    return [
      `(cd "$root${path}" && mount -t tmpfs -o ${limits},mode=${mode} tmpfs "$root${path}" && cp -a . "$root${path}/")`,
    ];
  }
  const upper = upperMountPoint(path);
  return [
    `mount -t tmpfs -o ${limits},mode=700 tmpfs "$root${upper}"`,
    `mkdir -m ${mode} "$root${upper}/upper"`,
    `mkdir -m 700 "$root${upper}/work"`,
    `chown --reference="$root${path}" "$root${upper}/upper"`,
    `mount -t overlay -o "nosuid,nodev,lowerdir=$root${path},upperdir=$root${upper}/upper,workdir=$root${upper}/work$overlay" overlay "$root${path}"`,
  ];
}

function hidingLines(): string[] {
  return [
    '',
    '# The upper directories are not for the container to see.',
    'mount -t tmpfs -o nosuid,nodev,noexec,size=4096,nr_inodes=1,mode=555 tmpfs "$root/.plinth"',
    'mount -o remount,bind,ro,nosuid,nodev,noexec "$root/.plinth"',
  ];
}

/** A file of the image may be a symlink; it is replaced, not written through. */
function replacing(path: string, command: string): string[] {
  return [`rm -f "$root/${path}"`, command];
}
