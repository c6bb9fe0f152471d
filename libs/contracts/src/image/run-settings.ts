/**
 * What a manifest holds of its process: words, directory, user, signal, ports. Checked by every service that runs an
 * image.
 */
import { pathProblem } from './entry-validation.js';
import { type Add, checkFields, isCount, isObject, type Json } from './json-checks.js';
import { MANIFEST_LIMITS } from './manifest-limits.js';

/** `user` or `user:group`, names or numbers. */
export const IMAGE_USER_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$/;
/** One port with its protocol. */
export const EXPOSED_PORT_PATTERN = /^[1-9]\d{0,4}\/(?:tcp|udp|sctp)$/;
export const MAX_EXPOSED_PORTS = 256;

const SIGNAL_PATTERN = /^SIG[A-Z0-9+-]{2,10}$/;
const MAX_GROUPS = 256;

/** The fields of {@link checkRunSettings} that schema 1 did not know. */
export const SCHEMA_2_SETTINGS = ['entrypoint', 'workingDirectory', 'user', 'exposedPorts', 'privileges'] as const;

export function checkRunSettings(value: Json, add: Add): void {
  const { entrypoint, command, workingDirectory, user, stopSignal, exposedPorts, privileges } = value;
  if (entrypoint !== undefined && (!areWords(entrypoint) || entrypoint.length === 0 || entrypoint[0] === ''))
    add('entrypoint: must be a list of 1 to 256 words without NUL, the first not empty');
  if (!areWords(command) || (entrypoint === undefined && (command.length === 0 || command[0] === '')))
    add('command: must be a list of 1 to 256 words without NUL, the first not empty');
  if (workingDirectory !== undefined) {
    const problem = directoryProblem(workingDirectory);
    if (problem !== undefined) add(`workingDirectory: ${problem}`);
  }
  if (user !== undefined) checkUser(user, add);
  if (typeof stopSignal !== 'string' || !SIGNAL_PATTERN.test(stopSignal))
    add(`stopSignal: must match ${String(SIGNAL_PATTERN)}`);
  if (exposedPorts !== undefined && !arePorts(exposedPorts))
    add(`exposedPorts: must be at most ${MAX_EXPOSED_PORTS} ports such as 80/tcp, each once, sorted`);
  if (privileges !== undefined && privileges !== 'setuid') add('privileges: must be setuid');
}

/** What is wrong with an absolute path to a directory of the image other than its root; undefined: nothing. */
function directoryProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || !value.startsWith('/') || value === '/.') return 'must be an absolute path below /';
  return pathProblem(value.slice(1));
}

function areWords(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= 256 &&
    value.every((word) => typeof word === 'string' && word.length <= 16_384 && !word.includes('\0'))
  );
}

function checkUser(value: unknown, add: Add): void {
  if (!isObject(value)) return add('user: must be an object');
  checkFields(value, ['name', 'uid', 'gid', 'additionalGids'], 'user.', add);
  const { name, uid, gid, additionalGids } = value;
  if (typeof name !== 'string' || !IMAGE_USER_PATTERN.test(name)) add('user.name: must be user or user:group');
  const isId = (id: unknown): boolean => isCount(id, 0, MANIFEST_LIMITS.ownerId);
  if (!isId(uid) || !isId(gid)) add(`user: uid and gid must be 0 to ${MANIFEST_LIMITS.ownerId}`);
  const groups = Array.isArray(additionalGids) && additionalGids.length <= MAX_GROUPS && additionalGids.every(isId);
  if (!groups) add(`user.additionalGids: must be at most ${MAX_GROUPS} ids of 0 to ${MANIFEST_LIMITS.ownerId}`);
}

function arePorts(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > MAX_EXPOSED_PORTS) return false;
  return (value as unknown[]).every(
    (port, index) =>
      typeof port === 'string' &&
      EXPOSED_PORT_PATTERN.test(port) &&
      Number.parseInt(port, 10) <= 65_535 &&
      (index === 0 || comparePorts(value[index - 1] as string, port) < 0),
  );
}

/** Orders ports by number, then by protocol. */
export function comparePorts(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : a > b ? 1 : 0);
}
