/**
 * The directory that `plinth access` manages:
 *
 *     server/nats-access.conf  accounts, users (public keys only) and rules; no secret in it
 *     server/nats-server.conf  a whole configuration that includes it; written once
 *     members.json             the members, with public keys
 *     seeds/<member>.nk        one secret each, mode 0600: goes to that machine and nowhere else
 *     seeds/download.token     for the image-builder and the storage nodes
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newUserKey } from '@plinth/service-kit/messaging';
import { type KeyedMember, type Member, memberId, memberProblem, MEMBER_KINDS } from './members.js';
import { accessConfig, serverConfig, type ServerOptions } from './server-config.js';

export class AccessError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AccessError';
  }
}

const MEMBERS = 'members.json';
const ACCESS_FILE = 'nats-access.conf';
const PUBLIC_KEY = /^U[A-Z2-7]{55}$/;
/** Bearer token of the image-builder's downloads; the storage nodes have it too. */
const DOWNLOAD_TOKEN = 'download.token';

export const seedFile = (directory: string, member: Member): string =>
  join(directory, 'seeds', `${memberId(member)}.nk`);
export const accessFile = (directory: string): string => join(directory, 'server', ACCESS_FILE);
export const downloadTokenFile = (directory: string): string => join(directory, 'seeds', DOWNLOAD_TOKEN);

/** @throws AccessError when the directory holds no members or what it holds is broken */
export function readMembers(directory: string): readonly KeyedMember[] {
  const file = join(directory, MEMBERS);
  if (!existsSync(file))
    throw new AccessError(`${directory} has no ${MEMBERS}; make it with: plinth access init --out ${directory}`);
  const found = JSON.parse(readFileSync(file, 'utf8')) as { members?: unknown };
  const members = Array.isArray(found.members) ? (found.members as KeyedMember[]) : [];
  for (const member of members) {
    const usable =
      MEMBER_KINDS.includes(member.kind) &&
      memberProblem(member) === undefined &&
      member.publicKeys.every((key) => PUBLIC_KEY.test(key));
    if (!usable) throw new AccessError(`${file} holds a member that is none: ${JSON.stringify(member)}`);
  }
  return members;
}

/**
 * Adds those that are not there yet, each with a new key, and writes the server's rules again; safe to repeat.
 * @returns the members that were added
 */
export function addMembers(directory: string, wanted: readonly Member[]): readonly Member[] {
  for (const member of wanted) {
    const problem = memberProblem(member);
    if (problem !== undefined) throw new AccessError(problem);
  }
  makeSeedsDirectory(directory);
  const before = existsSync(join(directory, MEMBERS)) ? readMembers(directory) : [];
  const ids = new Set(before.map(memberId));
  const added = wanted.filter((member) => !ids.has(memberId(member)) && ids.add(memberId(member)));
  const members = [...before, ...added.map((member) => ({ ...member, publicKeys: [newKey(directory, member)] }))];
  store(directory, members);
  return added;
}

/** A second key beside the present one; both log in until {@link finishRotation}. */
export function rotateKey(directory: string, member: Member): void {
  change(directory, member, (found) => {
    const [present] = found.publicKeys;
    if (found.publicKeys.length > 1 || present === undefined)
      throw new AccessError(`${memberId(member)} is being rotated already; end that first with --finish`);
    return { ...found, publicKeys: [newKey(directory, member), present] };
  });
}

/** Ends a rotation: from now on only the newest key logs in. */
export function finishRotation(directory: string, member: Member): void {
  change(directory, member, (found) => ({ ...found, publicKeys: found.publicKeys.slice(0, 1) }));
}

export function removeMember(directory: string, member: Member): void {
  if (member.kind === 'provisioner' || member.kind === 'image-builder')
    throw new AccessError(`others' rules lead to the ${member.kind}; rotate its key instead`);
  change(directory, member, () => undefined);
  rmSync(seedFile(directory, member), { force: true });
}

/** @returns its path; one that is there stays, it may have been changed by hand */
export function ensureServerConfig(directory: string, options: ServerOptions): string {
  const file = join(directory, 'server', 'nats-server.conf');
  if (!existsSync(file)) writeWhole(file, serverConfig(options, ACCESS_FILE), 0o644);
  return file;
}

function change(directory: string, member: Member, edit: (found: KeyedMember) => KeyedMember | undefined): void {
  const members = readMembers(directory);
  const id = memberId(member);
  const found = members.find((candidate) => memberId(candidate) === id);
  if (!found) throw new AccessError(`there is no ${id}; there are ${members.map(memberId).join(', ')}`);
  const edited = edit(found);
  store(
    directory,
    members.flatMap((candidate) => (candidate === found ? (edited ? [edited] : []) : [candidate])),
  );
}

function store(directory: string, members: readonly KeyedMember[]): void {
  // The server's rules are written last: they are what takes effect.
  writeWhole(join(directory, MEMBERS), `${JSON.stringify({ members }, null, 1)}\n`, 0o644);
  writeWhole(accessFile(directory), accessConfig(members), 0o644);
}

function newKey(directory: string, member: Member): string {
  const { seed, publicKey } = newUserKey();
  writeWhole(seedFile(directory, member), seed, 0o600);
  return publicKey;
}

function makeSeedsDirectory(directory: string): void {
  // The server's own user reads the rules, which hold no secret; only the owner reads seeds/.
  mkdirSync(join(directory, 'server'), { recursive: true, mode: 0o755 });
  mkdirSync(join(directory, 'seeds'), { recursive: true, mode: 0o700 });
  chmodSync(join(directory, 'seeds'), 0o700);
}

export function ensureDownloadToken(directory: string): void {
  makeSeedsDirectory(directory);
  const file = downloadTokenFile(directory);
  if (!existsSync(file)) writeWhole(file, `${randomBytes(32).toString('base64url')}\n`, 0o600);
}

function writeWhole(file: string, content: string | Uint8Array, mode: number): void {
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, content, { mode });
  renameSync(fresh, file);
}
