/**
 * Values of pax headers as bytes. tar-stream decodes them as UTF-8, which loses what a binary attribute holds; it has
 * no option for it, so its decoding step is intercepted. Its version is fixed in package.json, and a test reads a value
 * that is no UTF-8.
 */
import type { Extract } from 'tar-stream';

/** Keyword → value, in the order of the header; of a keyword that stands twice the last one counts. */
export type RawValues = ReadonlyMap<string, Buffer>;

interface Decoder {
  _header: { readonly type: string | null };
  _pax: object | null;
  _decodeLongHeader(bytes: Buffer): void;
}

const NONE: RawValues = new Map();
/** The prefix of star, GNU tar and Go; libarchive writes it too, beside a form of its own. */
const PREFIX = 'SCHILY.xattr.';
/** Keywords of access lists and SELinux. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  'SCHILY.acl.access': 'system.posix_acl_access',
  'SCHILY.acl.default': 'system.posix_acl_default',
  'RHT.security.selinux': 'security.selinux',
};

/** @returns what the header of a member held, by the object that the reader made of it */
export function keepRawValues(reader: Extract): (pax: unknown) => RawValues {
  const decoder = reader as unknown as Decoder;
  if (typeof decoder._decodeLongHeader !== 'function')
    throw new Error('tar-stream decodes pax headers in another place than before');
  const decode = decoder._decodeLongHeader.bind(decoder);
  const values = new WeakMap<object, RawValues>();
  decoder._decodeLongHeader = (bytes) => {
    decode(bytes);
    if (decoder._header.type === 'pax-header' && decoder._pax !== null) values.set(decoder._pax, rawValues(bytes));
  };
  return (pax) => (pax !== null && typeof pax === 'object' ? values.get(pax) : undefined) ?? NONE;
}

/** Records are `<length> <keyword>=<value>\n`, the length that of the whole record. */
function rawValues(bytes: Buffer): RawValues {
  const values = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? 0 : Number.parseInt(bytes.toString('latin1', at, space), 10);
    const equals = bytes.indexOf(0x3d, space);
    if (!(length > 0) || equals < 0 || equals >= at + length) break;
    values.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, at + length - 1));
    at += length;
  }
  return values;
}

/** Name of the extended attribute that a keyword stands for; undefined: none. */
export function attributeName(keyword: string): string | undefined {
  return keyword.startsWith(PREFIX) ? keyword.slice(PREFIX.length) : ATTRIBUTES[keyword];
}
