/**
 * File capabilities (capabilities(7)) as the kernel keeps them in the attribute `security.capability`:
 * `struct vfs_cap_data` of linux/capability.h. Images hold them in one form only, version 2 of 20 bytes, because that
 * is what the kernel answers for every capability that is valid on the whole machine, whichever form was written.
 */

/** The attribute's name. The only one that images keep. */
export const CAPABILITY_ATTRIBUTE = 'security.capability';

/** Names by number, as of Linux 5.9. */
export const CAPABILITY_NAMES = [
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner'],
  ...['sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin', 'sys_boot', 'sys_nice'],
  ...['sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write', 'audit_control', 'setfcap'],
  ...['mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf'],
  'checkpoint_restore',
] as const;

export interface FileCapability {
  /** The process has them in effect from its start, and the kernel refuses to start it without them all. */
  readonly effective: boolean;
  /** Names as in {@link CAPABILITY_NAMES}, in their order. */
  readonly permitted: readonly string[];
  readonly inheritable: readonly string[];
}

export type ReadCapability =
  | {
      readonly ok: true;
      /** Version 2, 40 lower-case hex digits. */
      readonly hex: string;
      readonly capability: FileCapability;
    }
  | { readonly ok: false; readonly problem: string };

const VERSION_2 = 0x0200_0000;
const VERSION_3 = 0x0300_0000;
const EFFECTIVE = 1;
const VERSION_2_BYTES = 20;
const VERSION_3_BYTES = 24;
const KNOWN = (1n << BigInt(CAPABILITY_NAMES.length)) - 1n;

/**
 * Reads the attribute of a file or archive. Version 3, which names the root of a user namespace, means the same as
 * version 2 when that is the machine's own root; another one's would mean a user of the machine that the image was made
 * on.
 */
export function readCapability(bytes: Uint8Array): ReadCapability {
  const refuse = (problem: string): ReadCapability => ({ ok: false, problem });
  if (bytes.length !== VERSION_2_BYTES && bytes.length !== VERSION_3_BYTES)
    return refuse(`must be ${VERSION_2_BYTES} or ${VERSION_3_BYTES} bytes, not ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (index: number): number => view.getUint32(index * 4, true);
  const head = word(0);
  const version = (head & ~EFFECTIVE) >>> 0;
  if (version !== (bytes.length === VERSION_2_BYTES ? VERSION_2 : VERSION_3))
    return refuse(`has the unknown head 0x${head.toString(16)} for ${bytes.length} bytes`);
  if (version === VERSION_3 && word(5) !== 0)
    return refuse(`belongs to the user namespace of user ${word(5)}; set it again as root of the machine`);
  const set = (low: number): bigint => BigInt(word(low)) | (BigInt(word(low + 2)) << 32n);
  const [permitted, inheritable] = [set(1), set(2)];
  if (((permitted | inheritable) & ~KNOWN) !== 0n) return refuse('holds capabilities that are not known');
  const hex = Buffer.from(bytes.subarray(0, VERSION_2_BYTES));
  hex.writeUInt32LE((VERSION_2 | (head & EFFECTIVE)) >>> 0, 0);
  return {
    ok: true,
    hex: hex.toString('hex'),
    capability: {
      effective: (head & EFFECTIVE) !== 0,
      permitted: namesOf(permitted),
      inheritable: namesOf(inheritable),
    },
  };
}

/** What is wrong with a capability in a manifest, or undefined: it must be version 2 in lower-case hex digits. */
export function capabilityProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || !/^[0-9a-f]{40}$/.test(value))
    return `capability must be ${VERSION_2_BYTES * 2} lower-case hex digits`;
  const read = readCapability(Buffer.from(value, 'hex'));
  return read.ok ? undefined : `capability ${read.problem}`;
}

/** As getcap(8) writes it, such as `cap_net_raw=ep`; for people. */
export function capabilityText({ effective, permitted, inheritable }: FileCapability): string {
  const every = [...new Set([...permitted, ...inheritable])];
  const flags = (name: string): string =>
    `${effective ? 'e' : ''}${inheritable.includes(name) ? 'i' : ''}${permitted.includes(name) ? 'p' : ''}`;
  const groups = new Map<string, string[]>();
  for (const name of every) groups.set(flags(name), [...(groups.get(flags(name)) ?? []), `cap_${name}`]);
  return [...groups].map(([letters, names]) => `${names.join(',')}=${letters}`).join(' ') || '=';
}

function namesOf(bits: bigint): string[] {
  return CAPABILITY_NAMES.filter((_, number) => (bits & (1n << BigInt(number))) !== 0n);
}
