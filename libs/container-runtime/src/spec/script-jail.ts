/**
 * Where and with what rights a custom mount script runs: in the container's namespaces, in a root that shows the image,
 * the files of this start, `/sw` and `/data`, and with the image's own programs. Pure.
 */
import { DEFAULT_PATH, type ContainerSpec } from './container-spec.js';
import { mountScriptSeccompProfile, type SeccompProfile } from './seccomp-profile.js';
import type { OciHook } from './oci-config.js';

/** Names in the jail's directory, which is the script's `/`. */
export const JAIL = { root: 'root', layer: 'layer', software: 'sw', data: 'data', script: 'mount.sh' } as const;

/** What the script finds in the image as if its root were the image's: programs, libraries, names of users, devices. */
const FROM_IMAGE = ['bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'sbin', 'usr'] as const;
export const JAIL_LINKS: readonly { readonly name: string; readonly target: string }[] = FROM_IMAGE.map((name) => ({
  name,
  target: `${JAIL.root}/${name}`,
}));

/** A shell of the image, whatever the script's first line says. */
export const MOUNT_SCRIPT_COMMAND: readonly string[] = ['/bin/sh', `/${JAIL.script}`];

/** What a custom mount script is run with when the caller names nothing else, seconds. */
export const MOUNT_SCRIPT_DEADLINE_SECONDS = 10;

/** The program that closes the jail; each Debian has it (perl-base), every user may run it. */
export const JAIL_LAUNCHER = '/usr/bin/perl';

/** linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, FSETID; SYS_ADMIN for mount(2). */
const CAPABILITIES = [0, 1, 3, 4, 21];
/** With users of its own also SETFCAP, as the overlays that the runtime makes have it: it means nothing outside. */
const OF_OWN_USERS = 31;

/** Numbers of system calls, asm/unistd.h; close_range(2) has the same everywhere. */
const NUMBERS: Readonly<Partial<Record<NodeJS.Architecture, { readonly prctl: number; readonly capset: number }>>> = {
  x64: { prctl: 157, capset: 126 },
  arm64: { prctl: 167, capset: 91 },
};
const CLOSE_RANGE = 436;
/** linux/prctl.h, linux/seccomp.h, linux/capability.h */
const PR_SET_SECCOMP = 22;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
const CAPABILITY_VERSION = 0x2008_0522;
const CAPABILITY_SET_SIZE = 64;

/**
 * Its arguments: directory, filter in hex, numbers of capabilities, command. In this order: no descriptor of the runtime
 * is left, its root is the jail, the bounding set and then its own rights are those named, exec gives no others, and the
 * filter holds. A step that fails ends it, so that a script runs in the whole jail or not at all.
 */
const LAUNCHER = String.raw`use strict;
my ($jail, $filter, $kept, $prctl, $capset, @command) = @ARGV;
sub call { my $name = shift; my $number = shift; syscall($number, @_) == 0 or die "$name: $!\n" }
call('close_range', ${CLOSE_RANGE}, 3, 0xffffffff, 0);
chdir $jail and chroot '.' and chdir '/' or die "chroot: $!\n";
umask 022;
my %kept = map { $_ => 1 } split /,/, $kept;
for my $each (0 .. ${CAPABILITY_SET_SIZE - 1}) {
  next if $kept{$each} or syscall($prctl + 0, ${PR_CAPBSET_DROP}, $each, 0, 0, 0) == 0;
  last if $! == 22; # EINVAL: the kernel knows no more
  die "capability $each: $!\n";
}
my @sets = (0, 0);
$sets[$_ >> 5] |= 1 << ($_ & 31) for keys %kept;
my $header = pack 'LL', ${CAPABILITY_VERSION}, 0;
my $data = pack 'L6', $sets[0], $sets[0], 0, $sets[1], $sets[1], 0;
call('capset', $capset + 0, $header, $data);
call('no_new_privs', $prctl + 0, ${PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0);
my $rules = pack 'H*', $filter;
my $program = pack 'S x![P] P', length($rules) / 8, $rules;
call('seccomp', $prctl + 0, ${PR_SET_SECCOMP}, ${SECCOMP_MODE_FILTER}, $program, 0, 0);
exec { $command[0] } @command;
die "$command[0] of the image: $!\n";
`;

export interface ScriptJail {
  /** Host path. */
  readonly directory: string;
  /** The compiled form of {@link scriptFilter}: an array of the kernel's sock_filter. */
  readonly filter: Buffer;
}

/** The system call filter of a script for containers with such users. */
export function scriptFilter(users: ContainerSpec['users']): SeccompProfile {
  return mountScriptSeccompProfile(users);
}

/** The script's variables: see mount-script.ts. */
export function mountScriptEnvironment(spec: ContainerSpec): Readonly<Record<string, string>> {
  return {
    PATH: DEFAULT_PATH,
    LC_ALL: 'C',
    PLINTH_ROOT: `/${JAIL.root}`,
    PLINTH_TIMEZONE: spec.timezone,
    PLINTH_LAYER: `/${JAIL.layer}`,
    PLINTH_SW: spec.softwarePath === undefined ? '' : `/${JAIL.software}`,
    PLINTH_DATA: spec.dataPath === undefined ? '' : `/${JAIL.data}`,
    PLINTH_OVERLAY_OPTIONS: spec.users === 'own' ? ',userxattr' : '',
  };
}

/**
 * The hook that runs the script, in the container's mount namespace before its root is entered.
 * @throws RangeError on an architecture that the launcher does not know
 */
export function mountScriptHook(
  spec: ContainerSpec,
  jail: ScriptJail,
  deadlineSeconds: number,
  architecture: NodeJS.Architecture = process.arch,
): OciHook {
  const numbers = NUMBERS[architecture];
  if (numbers === undefined) throw new RangeError(`custom mount scripts are not run on ${architecture}`);
  const capabilities = spec.users === 'own' ? [...CAPABILITIES, OF_OWN_USERS] : CAPABILITIES;
  const words = [jail.directory, jail.filter.toString('hex'), capabilities.join(','), numbers.prctl, numbers.capset];
  return {
    path: JAIL_LAUNCHER,
    args: [JAIL_LAUNCHER, '-e', LAUNCHER, ...words.map(String), ...MOUNT_SCRIPT_COMMAND],
    env: Object.entries(mountScriptEnvironment(spec)).map(([name, value]) => `${name}=${value}`),
    timeout: deadlineSeconds,
  };
}
