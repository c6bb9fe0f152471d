/**
 * The members that log in to the bus. Each has an account of its own: a reply subject that it names reaches no other
 * member.
 */
import { ACTING_ROLES, type ActingRole, NAME_PATTERN } from '@plinth/contracts';

export const MEMBER_KINDS = [
  'provisioner',
  'image-builder',
  'host',
  'storage',
  'console',
  // By which the consoles publish what people of a role ask for.
  'acts',
  'upstream',
  'operator',
] as const;
export type MemberKind = (typeof MEMBER_KINDS)[number];

export interface Member {
  readonly kind: MemberKind;
  /** Name of the host, storage node or copy of the console, role of the consoles' users, or of an upstream system or operator where there are several. */
  readonly name?: string;
}

export interface KeyedMember extends Member {
  /** Public nkeys (`U…`) that log in as it; two while a key is being rotated. */
  readonly publicKeys: readonly string[];
}

/** `host-h1`, `upstream`: names its files. */
export function memberId({ kind, name }: Member): string {
  return name === undefined ? kind : `${kind}-${name}`;
}

/** The account that holds the streams, and of the services only the provisioner. */
export const CORE = 'CORE';

export function accountOf(member: Member): string {
  if (member.kind === 'provisioner') return CORE;
  return member.name === undefined ? member.kind.toUpperCase() : `${member.kind.toUpperCase()}-${member.name}`;
}

/** Reads `host-h1` and the like. @returns undefined when it names no member */
export function parseMember(text: string): Member | undefined {
  const kind = MEMBER_KINDS.find((candidate) => text === candidate || text.startsWith(`${candidate}-`));
  if (kind === undefined) return undefined;
  const name = text === kind ? undefined : text.slice(kind.length + 1);
  const member = { kind, ...(name === undefined ? {} : { name }) };
  return memberProblem(member) === undefined ? member : undefined;
}

/** @returns why there can be no such member */
export function memberProblem({ kind, name }: Member): string | undefined {
  if (name !== undefined && !NAME_PATTERN.test(name))
    return `${name} is no name: lower-case letters, digits and hyphens, at most 63`;
  if ((kind === 'host' || kind === 'storage' || kind === 'console') && name === undefined)
    return `a ${kind} needs a name`;
  if (kind === 'acts' && !ACTING_ROLES.includes(name as ActingRole))
    return `acts are of a role: ${ACTING_ROLES.join(', ')}`;
  if ((kind === 'provisioner' || kind === 'image-builder') && name !== undefined)
    return `there is one ${kind}, it has no name`;
  return undefined;
}
