/** Who sees what: the one place that lists, details, counts and streams ask. Pure. */
import { CONSOLE_ROLES, type ConsoleRole } from '@plinth/contracts';
import type { Topic, ValueOf } from './topics.js';

export const ROLES = CONSOLE_ROLES;
export type Role = ConsoleRole;

export interface Viewer {
  readonly role: Role;
  /** Of a developer; of others it is not looked at. */
  readonly tenants: readonly string[];
}

export const ROUTES = [
  'containers',
  'container',
  'overview',
  'stream',
  'session',
  'hosts',
  'storage',
  'images',
  'rollouts',
  'sign-ins',
] as const;
export type Route = (typeof ROUTES)[number];

const OF_ALL: readonly Route[] = ['containers', 'container', 'overview', 'stream', 'session'];
const OF_STAFF: readonly Route[] = [...OF_ALL, 'hosts', 'storage', 'images', 'rollouts'];
const ALLOWED: Readonly<Record<Role, readonly Route[]>> = {
  admin: ROUTES,
  operator: OF_STAFF,
  viewer: OF_STAFF,
  developer: OF_ALL,
};

export function mayUse(viewer: Viewer, route: Route): boolean {
  return ALLOWED[viewer.role].includes(route);
}

/** Whether this person may know of the thing at all; for others it is as if it was not there. */
export function maySee<T extends Topic>(viewer: Viewer, topic: T, value: ValueOf[T]): boolean {
  if (viewer.role !== 'developer') return true;
  return topic === 'containers' && viewer.tenants.includes((value as ValueOf['containers']).tenant);
}

/** Topics of which a person sees anything. */
export function visibleTopics(viewer: Viewer, topics: readonly Topic[]): readonly Topic[] {
  return viewer.role === 'developer' ? topics.filter((topic) => topic === 'containers') : topics;
}

/** The same text for those who see the same. */
export function viewKey({ role, tenants }: Viewer): string {
  return role === 'developer' ? `tenants ${[...tenants].sort().join(' ')}` : 'everything';
}
