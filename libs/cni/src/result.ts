/** What plugins print. Pure. */
import { isIP } from 'node:net';
import { isObject, type JsonObject } from './configuration.js';

/** What of a result the runtime itself uses; all of it is checked. */
export interface NetworkResult {
  /** Addresses of the container's interface, without prefix lengths. */
  readonly addresses: readonly string[];
  readonly dns: NameSettings;
}

/** resolv.conf(5) */
export interface NameSettings {
  readonly nameServers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

const MAX_ADDRESSES = 16;
/** resolv.conf(5): more are not used. */
const MAX_NAME_SERVERS = 3;
const MAX_SEARCH = 32;
const DOMAIN =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$/;
const OPTION = /^[a-z0-9-]{1,32}(?::\d{1,5})?$/;
const MAX_MESSAGE = 1_000;

/** @returns what is wrong with it, in words */
export function parseResult(text: string): { readonly raw: JsonObject; readonly result: NetworkResult } | string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return `printed no JSON: ${shown(text)}`;
  }
  if (!isObject(found)) return `printed no JSON object: ${shown(text)}`;
  const result = readResult(found);
  return typeof result === 'string' ? result : { raw: found, result };
}

/** @returns what is wrong with it, in words */
export function readResult(raw: JsonObject): NetworkResult | string {
  const { interfaces = [], ips = [], dns = {} } = raw;
  if (!Array.isArray(interfaces) || !interfaces.every(isObject)) return 'printed a result with bad interfaces';
  if (!Array.isArray(ips) || ips.length > MAX_ADDRESSES) return 'printed a result with bad ips';
  if (!isObject(dns)) return 'printed a result with a bad dns';
  const addresses: string[] = [];
  for (const item of ips as unknown[]) {
    const address = isObject(item) && typeof item['address'] === 'string' ? item['address'] : '';
    const [ip = '', prefix, ...more] = address.split('/');
    if (!isObject(item) || isIP(ip) === 0 || more.length > 0 || !/^\d{1,3}$/.test(prefix ?? ''))
      return 'printed a result with an address that is none';
    // Those of the host's interfaces have no sandbox.
    const index = item['interface'];
    const of = typeof index === 'number' ? (interfaces as JsonObject[])[index] : undefined;
    if (index === undefined || index === null || (typeof of?.['sandbox'] === 'string' && of['sandbox'] !== ''))
      addresses.push(ip);
  }
  return { addresses: [...new Set(addresses)], dns: nameSettings(dns) };
}

/** What is not fit for a resolv.conf is left out. */
function nameSettings(dns: JsonObject): NameSettings {
  const texts = (value: unknown): string[] =>
    Array.isArray(value) ? (value as unknown[]).filter((item) => typeof item === 'string') : [];
  const search = [...texts([dns['domain']]), ...texts(dns['search'])].filter((domain) => DOMAIN.test(domain));
  return {
    nameServers: texts(dns['nameservers'])
      .filter((address) => isIP(address) !== 0)
      .slice(0, MAX_NAME_SERVERS),
    search: [...new Set(search)].slice(0, MAX_SEARCH),
    options: texts(dns['options']).filter((option) => OPTION.test(option)),
  };
}

/** Why a plugin failed, by what it printed. */
export function failureMessage(stdout: string, stderr: string): string {
  try {
    const found: unknown = JSON.parse(stdout);
    if (isObject(found) && typeof found['msg'] === 'string' && found['msg'] !== '') {
      const details = typeof found['details'] === 'string' && found['details'] !== '' ? `: ${found['details']}` : '';
      return oneLine(`${found['msg']}${details}`);
    }
  } catch {
    // It is no error of CNI: what was printed is shown as it is.
  }
  return oneLine(stderr) || oneLine(stdout) || 'it printed nothing';
}

/** The versions that a plugin reports at VERSION; empty: it printed something else. */
export function supportedVersions(stdout: string): readonly string[] {
  try {
    const found: unknown = JSON.parse(stdout);
    const versions = isObject(found) ? found['supportedVersions'] : undefined;
    return Array.isArray(versions) ? (versions as unknown[]).filter((version) => typeof version === 'string') : [];
  } catch {
    return [];
  }
}

/** Without control characters; the end of it, where the cause stands. */
function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > MAX_MESSAGE ? `… ${line.slice(-MAX_MESSAGE)}` : line;
}

function shown(text: string): string {
  return oneLine(text.slice(0, 200)) || 'nothing';
}
