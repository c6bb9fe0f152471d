/**
 * What a person may who signs in by an OpenID provider: by the groups that it names, as an operator mapped them to roles;
 * and under which name the person is on record. Pure.
 */
import { CONSOLE_ROLES, NAME_PATTERN } from '@plinth/contracts';
import type { Role, Viewer } from './access.js';

/** In front of the name of everybody who comes by a provider; no local name has a colon. */
export const PROVIDER_PREFIX = 'oidc:';

/** Group → rights, the first that a person is in counts. */
export type GroupGrants = readonly (readonly [group: string, grant: Viewer])[];
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };
export type Claims = Readonly<Record<string, unknown>>;

const MOST_GROUPS = 200;
const MOST_TENANTS = 32;
const MOST_CLAIMED = 2_000;
/** ASCII only: names that look like another's are harder to make. */
const PERSON_NAME = /^[A-Za-z0-9][A-Za-z0-9._@+|-]{0,99}$/;
const DEFAULT_NAME_CLAIMS = ['preferred_username', 'email', 'sub'] as const;

export function isFromProvider(name: string): boolean {
  return name.startsWith(PROVIDER_PREFIX);
}

/** @param text `viewer`, or `developer:acme+zeta` */
export function parseGrant(text: string): Parsed<Viewer> {
  const [name = '', list, ...rest] = text.trim().split(':');
  const role = CONSOLE_ROLES.find((known) => known === name);
  const tenants = list === undefined ? [] : list.split('+');
  const wrong = (message: string): Parsed<Viewer> => ({ ok: false, message: `"${text.slice(0, 100)}": ${message}` });
  if (!role || rest.length > 0) return wrong(`a role is ${CONSOLE_ROLES.join(', ')}, a developer's with tenants`);
  if ((role === 'developer') !== tenants.length > 0)
    return wrong('a developer has tenants, as in developer:acme+zeta; no other role has');
  if (tenants.length > MOST_TENANTS || !tenants.every((tenant) => NAME_PATTERN.test(tenant)))
    return wrong(`tenants are names, ${MOST_TENANTS} at the most`);
  return { ok: true, value: { role, tenants } };
}

/** @param text `plinth-admins=admin,team-acme=developer:acme` */
export function parseGroupGrants(text: string): Parsed<GroupGrants> {
  const grants: [string, Viewer][] = [];
  for (const entry of text.split(',')) {
    const [group = '', grant, ...rest] = entry.split('=').map((part) => part.trim());
    if (group === '' || grant === undefined || rest.length > 0)
      return { ok: false, message: `"${entry.slice(0, 100)}" is not group=role` };
    const parsed = parseGrant(grant);
    if (!parsed.ok) return parsed;
    if (grants.some(([known]) => known === group)) return { ok: false, message: `${group} is there twice` };
    grants.push([group, parsed.value]);
  }
  if (grants.length > MOST_GROUPS) return { ok: false, message: `more than ${MOST_GROUPS} groups` };
  return { ok: true, value: grants };
}

/**
 * The role of the first mapped group that the person is in; a developer's tenants are those of all its groups.
 * @param fallback of persons in none of them; undefined: they may nothing
 */
export function grantOf(
  groups: ReadonlySet<string>,
  grants: GroupGrants,
  fallback: Viewer | undefined,
): Viewer | undefined {
  const matching = grants.filter(([group]) => groups.has(group)).map(([, grant]) => grant);
  const [first = fallback] = matching;
  if (first?.role !== 'developer' || matching.length === 0) return first;
  const tenants = new Set(matching.filter(({ role }) => role === 'developer').flatMap((grant) => grant.tenants));
  return { role: 'developer' satisfies Role, tenants: [...tenants].sort() };
}

/** A list of texts, or one text; everything else is no group. */
export function groupsOf(claims: Claims, claim: string): ReadonlySet<string> {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value.slice(0, MOST_CLAIMED) : [value];
  return new Set(list.filter((group) => typeof group === 'string'));
}

/**
 * @param claim undefined: the first that has the form of a name, of preferred_username, email and sub
 * @returns undefined: there is none
 */
export function personNameOf(claims: Claims, claim: string | undefined): string | undefined {
  const wanted: readonly string[] = claim === undefined ? DEFAULT_NAME_CLAIMS : [claim];
  return wanted
    .map((name) => (Object.hasOwn(claims, name) ? claims[name] : undefined))
    .find((value): value is string => typeof value === 'string' && PERSON_NAME.test(value));
}
