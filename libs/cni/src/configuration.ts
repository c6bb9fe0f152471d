/**
 * A network configuration list of CNI (`*.conflist`), as text. Pure. Source: the specification of CNI, versions 0.3.0 to
 * 1.1.0, "Network configuration format".
 */

/** What a plugin may be asked in, oldest first. */
export const CNI_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];

export type JsonObject = Readonly<Record<string, unknown>>;

/** One plugin of the chain. */
export interface CniPlugin {
  /** Name of its program. */
  readonly type: string;
  /** Program that gives out addresses for it; absent: none. */
  readonly ipam?: string;
  /** What it wants to know of each container, e.g. `portMappings`. */
  readonly capabilities: readonly string[];
  /** Its part of the file, as it is there. */
  readonly config: JsonObject;
}

export interface CniConfiguration {
  readonly name: string;
  readonly cniVersion: CniVersion;
  /** It may be used with any of these; `cniVersion` is one of them. */
  readonly versions: readonly CniVersion[];
  readonly disableCheck: boolean;
  readonly plugins: readonly CniPlugin[];
}

export const MAX_CONFIGURATION_BYTES = 256 * 1024;
const MAX_PLUGINS = 32;
const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
/** Name of a file in a directory of plugins, never a path. */
const PROGRAM_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;

/** @returns what is wrong with it, in words */
export function parseConfiguration(text: string): CniConfiguration | string {
  if (Buffer.byteLength(text) > MAX_CONFIGURATION_BYTES) return `is larger than ${MAX_CONFIGURATION_BYTES} bytes`;
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    return `is no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (!isObject(found)) return 'must be a JSON object';
  const { name, plugins, disableCheck = false } = found;
  if (plugins === undefined && typeof found['type'] === 'string')
    return 'is the configuration of one plugin: put it into the list "plugins" of an object with "cniVersion" and "name"';
  const versions = versionsOf(found);
  if (typeof versions === 'string') return versions;
  if (typeof name !== 'string' || !NETWORK_NAME.test(name))
    return `name ${shown(name)} must be letters, digits, "_", "." and "-", the first one a letter or digit`;
  if (typeof disableCheck !== 'boolean') return 'disableCheck must be true or false';
  if (!Array.isArray(plugins) || plugins.length === 0 || plugins.length > MAX_PLUGINS)
    return `plugins must be a list of 1 to ${MAX_PLUGINS} plugins`;
  const parsed: CniPlugin[] = [];
  for (const [index, item] of (plugins as unknown[]).entries()) {
    const plugin = pluginOf(item);
    if (typeof plugin === 'string') return `plugins[${index}]${plugin}`;
    parsed.push(plugin);
  }
  const [cniVersion] = versions;
  return { name, cniVersion, versions, disableCheck, plugins: parsed };
}

/** The newest version that the file and each plugin know; undefined: none. */
export function commonVersion(
  versions: readonly CniVersion[],
  supported: readonly (readonly string[])[],
): CniVersion | undefined {
  return CNI_VERSIONS.toReversed().find(
    (version) => versions.includes(version) && supported.every((known) => known.includes(version)),
  );
}

/** The plugins' programs, each once. */
export function programsOf({ plugins }: Pick<CniConfiguration, 'plugins'>): readonly string[] {
  return [...new Set(plugins.flatMap(({ type, ipam }) => [type, ...(ipam === undefined ? [] : [ipam])]))];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isAtLeast(version: CniVersion, least: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(least);
}

function versionsOf({ cniVersion, cniVersions = [] }: JsonObject): [CniVersion, ...CniVersion[]] | string {
  const known = `use one of ${CNI_VERSIONS.join(', ')}`;
  if (cniVersion === undefined) return `has no cniVersion; ${known}`;
  if (!Array.isArray(cniVersions)) return 'cniVersions must be a list';
  const usable = [cniVersion, ...(cniVersions as unknown[])].filter(isVersion);
  const [first, ...others] = usable;
  if (first === undefined) return `cniVersion ${shown(cniVersion)} is not known; ${known}`;
  return [first, ...others];
}

function isVersion(value: unknown): value is CniVersion {
  return CNI_VERSIONS.some((version) => version === value);
}

function pluginOf(item: unknown): CniPlugin | string {
  if (!isObject(item)) return ' must be an object';
  const { type, ipam, capabilities } = item;
  if (!isProgram(type)) return `.type ${shown(type)} must be the name of a program, without "/"`;
  const ipamType = isObject(ipam) ? ipam['type'] : undefined;
  if (ipam !== undefined && !isObject(ipam)) return '.ipam must be an object';
  // Some plugins give out addresses themselves, and have an empty object there.
  if (ipamType !== undefined && !isProgram(ipamType))
    return `.ipam.type ${shown(ipamType)} must be the name of a program, without "/"`;
  if (capabilities !== undefined && !isObject(capabilities)) return '.capabilities must be an object';
  const wanted = Object.entries(capabilities ?? {});
  if (wanted.some(([, value]) => typeof value !== 'boolean')) return '.capabilities must be true or false each';
  return {
    type,
    ...(ipamType !== undefined && { ipam: ipamType }),
    capabilities: wanted.flatMap(([name, value]) => (value === true ? [name] : [])),
    config: item,
  };
}

function isProgram(value: unknown): value is string {
  return typeof value === 'string' && PROGRAM_NAME.test(value) && !value.includes('..');
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'that is not there').slice(0, 80);
}
