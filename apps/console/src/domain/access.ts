/** Who sees and does what: the one place that lists, details, counts, streams and acts ask. Pure. */
import { ACTING_ROLES, type ActingRole, CONSOLE_ROLES, type ConsoleAct, type ConsoleRole } from '@plinth/contracts';
import type { Topic, ValueOf } from './topics.js';

export const ROLES = CONSOLE_ROLES;
export type Role = ConsoleRole;

export interface Viewer {
  readonly role: Role;
  /** Of a developer; of others it is not looked at. */
  readonly tenants: readonly string[];
}

const OF_ALL = [
  'containers',
  'container',
  'logs',
  'overview',
  'stream',
  'session',
  'events',
  'requests',
  // Which acts is asked of mayAct: so that each refusal is on record.
  'acts',
  'password',
  'tokens',
] as const;
const OF_STAFF = [...OF_ALL, 'hosts', 'storage', 'images', 'image-uses', 'rollouts'] as const;
export const ROUTES = [...OF_STAFF, 'sign-ins', 'audit', 'users', 'dead-letters'] as const;
export type Route = (typeof ROUTES)[number];

const ALLOWED: Readonly<Record<Role, readonly Route[]>> = {
  admin: ROUTES,
  operator: OF_STAFF,
  viewer: OF_STAFF,
  developer: OF_ALL,
};
/** Not for API tokens, which must not make others of their kind. */
const OF_SESSIONS: readonly Route[] = ['password', 'tokens', 'users'];

/** @param isToken an API token asks, not a person who is signed in */
export function mayUse(viewer: Viewer, route: Route, isToken = false): boolean {
  return ALLOWED[viewer.role].includes(route) && !(isToken && OF_SESSIONS.includes(route));
}

/** Whether this person may know of the thing at all; for others it is as if it was not there. */
export function maySee<T extends Topic>(viewer: Viewer, topic: T, value: ValueOf[T]): boolean {
  if (viewer.role !== 'developer') return true;
  return topic === 'containers' && viewer.tenants.includes((value as ValueOf['containers']).tenant);
}

/** Of events and requests. @param tenant undefined: they are of no tenant */
export function maySeeTenant(viewer: Viewer, tenant: string | undefined): boolean {
  return viewer.role !== 'developer' || (tenant !== undefined && viewer.tenants.includes(tenant));
}

/** Topics of which a person sees anything. */
export function visibleTopics(viewer: Viewer, topics: readonly Topic[]): readonly Topic[] {
  return viewer.role === 'developer' ? topics.filter((topic) => topic === 'containers') : topics;
}

/** The same text for those who see the same. */
export function viewKey({ role, tenants }: Viewer): string {
  return role === 'developer' ? `tenants ${[...tenants].sort().join(' ')}` : 'everything';
}

/** By whose key on the bus the acts of a role are published. */
export function actingRole(role: Role): ActingRole | undefined {
  return ACTING_ROLES.find((acting) => acting === role);
}

/** Of a new container these are its image, or more than a container should have. */
const NOT_OF_DEVELOPERS = ['image', 'strict', 'follow', 'hostUsers'] as const;

/**
 * Why a person may not do something; undefined: it is allowed. What must not be known is asked of {@link maySee} before.
 * @param request as it is to be published; its `tenant` is that of the container
 */
export function actRefusal(
  viewer: Viewer,
  act: Pick<ConsoleAct, 'name' | 'roles'>,
  request?: { readonly tenant?: string; readonly body: Readonly<Record<string, unknown>> },
): string | undefined {
  const role = actingRole(viewer.role);
  if (!role || !act.roles.includes(role)) return `the role ${viewer.role} may not ${act.name.replace('.', ' ')}`;
  if (role !== 'developer' || !request) return undefined;
  if (!maySeeTenant(viewer, request.tenant)) return `${request.tenant ?? 'this'} is no tenant of yours`;
  if (act.name !== 'container.create') return undefined;
  const field = NOT_OF_DEVELOPERS.find((name) => request.body[name] !== undefined);
  if (field !== undefined) return `a developer may not choose ${field} of a container`;
  return request.body['network'] === 'host' ? 'a developer may not choose the network of the host' : undefined;
}

const BELOW: Readonly<Record<Role, readonly Role[]>> = {
  admin: ROLES,
  operator: ['operator', 'viewer', 'developer'],
  viewer: ['viewer'],
  developer: ['developer'],
};

/** Whether somebody may give another, or a token, these rights: none but the own. */
export function mayGrant(by: Viewer, given: Viewer): boolean {
  if (!BELOW[by.role].includes(given.role)) return false;
  if (given.role !== 'developer') return true;
  return (
    given.tenants.length > 0 && (by.role !== 'developer' || given.tenants.every((name) => by.tenants.includes(name)))
  );
}
