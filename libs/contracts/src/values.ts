/**
 * The value types that cross a service boundary, and the patterns that guard them.
 * Every identifier below is safe as one NATS subject token, one path component and one argv word.
 */

/** DNS label (RFC 1123 §2.1), lower case: names of images, containers, tenants, hosts, storage nodes, data centres. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** What {@link NAME_PATTERN} asks for, in words. */
export const NAME_WORDS = '1 to 63 lower-case letters, digits and inner hyphens';
/** Image versions are `v1, v2, …` per name; never reused, no leading zero. */
export const VERSION_PATTERN = /^v[1-9][0-9]{0,8}$/;
/** `debian-12` or `debian-12@v3`. */
export const IMAGE_REF_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:@v[1-9][0-9]{0,8})?$/;
/** `debian-12@v3`, the version spelt out. */
export const EXACT_IMAGE_REF_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?@v[1-9][0-9]{0,8}$/;
/** SHA-256 as `sha256:<64 hex digits>`. */
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;
/** Debian's name of an architecture, such as `amd64`. */
export const ARCHITECTURE_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
/** A random 128-bit id, 32 lower-case hex digits. */
export const ID_PATTERN = /^[0-9a-f]{32}$/;
/** A path below the software repository: one or more plain components, no dots at their start. */
export const SOFTWARE_PATH_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(?:\/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){0,7}$/;
/** POSIX environment variable names (IEEE 1003.1, 8.1). */
export const ENV_NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** IANA time zone name, as a path below /usr/share/zoneinfo; whether it exists is checked by {@link isTimezone}. */
export const TIMEZONE_PATTERN = /^[A-Za-z][A-Za-z0-9_+-]{0,31}(?:\/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}$/;

export type Digest = `sha256:${string}`;

export interface ImageRef {
  readonly name: string;
  /** Absent: the default version of that name. */
  readonly version?: string;
}

export interface ExactImageRef extends ImageRef {
  readonly version: string;
}

/** Reads `name` or `name@version`; undefined when the text is neither. */
export function parseImageRef(text: string): ImageRef | undefined {
  if (text.length > 80 || !IMAGE_REF_PATTERN.test(text)) return undefined;
  const at = text.indexOf('@');
  return at < 0 ? { name: text } : { name: text.slice(0, at), version: text.slice(at + 1) };
}

/** Reads `name@version`; undefined when the text is anything else. */
export function parseExactImageRef(text: string): ExactImageRef | undefined {
  const ref = parseImageRef(text);
  return ref?.version === undefined ? undefined : { name: ref.name, version: ref.version };
}

export function formatImageRef(ref: ImageRef): string {
  return ref.version === undefined ? ref.name : `${ref.name}@${ref.version}`;
}

/** The number in `v12`. */
export function versionNumber(version: string): number {
  return Number(version.slice(1));
}

/** Whether this machine's zone table (ICU's, inside Node) knows the zone. */
export function isTimezone(zone: string): boolean {
  if (!TIMEZONE_PATTERN.test(zone)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Characters of a message for people that go over the bus. */
export const MAX_MESSAGE = 4000;

/** A message that was put together, cut to what goes over the bus. */
export function fitMessage(message: string, most: number = MAX_MESSAGE): string {
  return message.length <= most ? message : `${message.slice(0, most - 1)}…`;
}

/** Lower-case labels with dots between them, 253 characters at the most (RFC 1035). */
export const DNS_NAME_PATTERN =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * Text that is shown to people and kept in databases: no control characters but line feeds and tabs, no halves of
 * characters.
 */
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
export const READABLE_TEXT_PATTERN = /^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Surrogate}]*$/u;

/** Debian's names where they are not Node's. */
const DEBIAN_ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: 'i386',
  arm: 'armhf',
  ppc64: 'ppc64el',
};

/** @param arch as Node names it: `process.arch` */
export function debianArchitecture(arch: string): string {
  return DEBIAN_ARCHITECTURES[arch] ?? arch;
}
