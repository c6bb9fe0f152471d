import type { ContainerSpec } from './container-spec.js';
import { isSystemContainer, machineId } from './system-container.js';

/** One entry of the small directory that is laid over the image's /etc at a start. */
export type LayerEntry =
  | { readonly path: string; readonly type: 'directory' }
  | { readonly path: string; readonly type: 'file'; readonly text: string; readonly mode: number }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string };

/**
 * Steps 4 and 5 of the mount script as files: time zone, names, and the environment for logins (PAM reads
 * /etc/environment, shells read /etc/profile.d). They replace what the image has under these names, symlinks too. The directory becomes the topmost lower layer of the overlay on /etc,
 * so no process is needed to put them there and each stays replaceable.
 * Paths are relative to the layer's root. Pure.
 */
export function etcLayer(spec: ContainerSpec): readonly LayerEntry[] {
  return [
    { path: 'etc', type: 'directory' },
    { path: 'etc/profile.d', type: 'directory' },
    { path: 'etc/localtime', type: 'symlink', target: `/usr/share/zoneinfo/${spec.timezone}` },
    { path: 'etc/timezone', type: 'file', text: `${spec.timezone}\n`, mode: 0o644 },
    { path: 'etc/hostname', type: 'file', text: `${spec.hostname}\n`, mode: 0o644 },
    { path: 'etc/hosts', type: 'file', text: hostsFile(spec), mode: 0o644 },
    ...(spec.network === 'host' ? [] : [resolverFile(spec)]),
    ...(isSystemContainer(spec) ? [machineIdFile(spec)] : []),
    { path: 'etc/environment', type: 'file', text: pamEnvironment(spec.environment), mode: 0o644 },
    { path: 'etc/profile.d/plinth.sh', type: 'file', text: shellEnvironment(spec.environment), mode: 0o644 },
  ];
}

/** hosts(5): `localhost`, and the container's own name: on Debian's second loopback address when it has no other. */
function hostsFile({ hostname, names }: ContainerSpec): string {
  return names
    ? hostsText(names.addresses, `${hostname}.${names.domain} ${hostname}`)
    : hostsText(['127.0.1.1'], hostname);
}

/** @param own the container's names */
export function hostsText(addresses: readonly string[], own: string): string {
  return [
    '127.0.0.1 localhost',
    ...addresses.map((address) => `${address} ${own}`),
    '::1 localhost ip6-localhost ip6-loopback',
    'ff02::1 ip6-allnodes',
    'ff02::2 ip6-allrouters',
    '',
  ].join('\n');
}

/** resolv.conf(5): nothing of the host's. With the host's network the image's own file stays. */
function resolverFile({ names }: ContainerSpec): LayerEntry {
  const text = names
    ? `nameserver ${names.nameServer}\nsearch ${names.domain}\noptions ndots:1 timeout:2 attempts:2\n`
    : '# This container has no name server.\n';
  return { path: 'etc/resolv.conf', type: 'file', text, mode: 0o644 };
}

function machineIdFile({ id }: ContainerSpec): LayerEntry {
  return { path: 'etc/machine-id', type: 'file', text: `${machineId(id)}\n`, mode: 0o444 };
}

/** `NAME="value"` lines as pam_env(8) reads them: it has no escape, so a value with a double quote is written bare. */
export function pamEnvironment(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => (value.includes('"') ? `${name}=${value}\n` : `${name}="${value}"\n`))
    .join('');
}

/** `export NAME='value'` lines for a POSIX shell. */
export function shellEnvironment(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');
}
