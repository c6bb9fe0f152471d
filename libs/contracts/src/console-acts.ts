/**
 * What people do over the console: which request each act publishes, who may, and which facts end it. The API's paths,
 * the rights of the console's keys on the bus and the access rules of the console follow from this list.
 */
import type { FactSubject, RequestSubject } from './bus/typed-subjects.js';
import { SUBJECTS as S } from './bus/subjects.js';
import type { ConsoleRole } from './console-link.js';

/** Roles that do anything; each has a key of its own on the bus. */
export const ACTING_ROLES = ['admin', 'operator', 'developer'] as const satisfies readonly ConsoleRole[];
export type ActingRole = (typeof ACTING_ROLES)[number];

export interface ConsoleAct {
  readonly name: string;
  readonly subject: RequestSubject;
  /** Below `/api/v1`; what is in braces fills `fills`. */
  readonly path: string;
  /** Field of the request that the path names; absent: the path names nothing. */
  readonly fills?: string;
  readonly roles: readonly ActingRole[];
  /** Facts that it caused and that end it well; none: the first thing that it causes does. */
  readonly done: readonly FactSubject[];
  readonly failed: readonly FactSubject[];
  readonly summary: string;
}

const EVERYONE = ACTING_ROLES;
const OPERATORS = ['admin', 'operator'] as const;
const ADMINS = ['admin'] as const;

/** Names are of acts, not of subjects. */
const actName = (about: string, verb: string): string => [about, verb].join('.');

const container = (
  verb: string,
  subject: RequestSubject,
  roles: ConsoleAct['roles'],
  done: readonly FactSubject[],
  failed: readonly FactSubject[],
  summary: string,
): ConsoleAct => ({
  name: actName('container', verb),
  subject,
  path: `/containers/{id}/${verb}`,
  fills: 'id',
  roles,
  done,
  failed,
  summary,
});
const rollout = (verb: string, subject: RequestSubject, done: readonly FactSubject[], summary: string): ConsoleAct => ({
  name: actName('rollout', verb),
  subject,
  path: `/rollouts/{id}/${verb}`,
  fills: 'rolloutId',
  roles: OPERATORS,
  done,
  failed: [],
  summary,
});
const host = (verb: string, subject: RequestSubject, summary: string): ConsoleAct => ({
  name: actName('host', verb),
  subject,
  path: `/hosts/{name}/${verb}`,
  fills: 'host',
  roles: OPERATORS,
  done: [],
  failed: [],
  summary,
});
const image = (verb: string, subject: RequestSubject, done: readonly FactSubject[], summary: string): ConsoleAct => ({
  name: actName('image', verb),
  subject,
  path: `/images/{ref}/${verb}`,
  fills: 'image',
  roles: ADMINS,
  done,
  failed: [],
  summary,
});

export const CONSOLE_ACTS: readonly ConsoleAct[] = [
  {
    name: 'container.create',
    subject: S.containerRequested,
    path: '/containers',
    roles: EVERYONE,
    done: [S.containerStarted],
    failed: [S.containerFailed],
    summary: 'Create and start a container',
  },
  container('stop', S.containerStopRequested, EVERYONE, [S.containerStopped], [], 'Stop a container'),
  container('start', S.containerStartRequested, EVERYONE, [S.containerStarted], [S.containerFailed], 'Start it again'),
  container(
    'restart',
    S.containerRestartRequested,
    EVERYONE,
    [S.containerStarted],
    [S.containerFailed],
    'Stop and start it',
  ),
  container('remove', S.containerRemoveRequested, EVERYONE, [S.containerRemoved], [], 'Remove it'),
  container(
    'change',
    S.containerChangeRequested,
    EVERYONE,
    [S.containerChanged],
    [],
    'Change its ports, egress or limits',
  ),
  container(
    'switch',
    S.containerUpdateRequested,
    OPERATORS,
    [S.containerUpdated],
    [S.containerReverted],
    'Move it to another image',
  ),
  {
    name: 'rollout.start',
    subject: S.rolloutRequested,
    path: '/rollouts',
    roles: OPERATORS,
    done: [S.rolloutStarted],
    failed: [],
    summary: 'Move many containers to another image',
  },
  rollout('pause', S.rolloutPauseRequested, [S.rolloutPaused], 'Begin nothing new'),
  rollout('resume', S.rolloutResumeRequested, [S.rolloutResumed], 'Go on'),
  rollout('approve', S.rolloutApprovalRequested, [S.rolloutResumed], 'Let a waiting rollout go on'),
  rollout('abort', S.rolloutAbortRequested, [], 'End it where it is'),
  rollout('revert', S.rolloutRevertRequested, [S.rolloutHalted], 'Go back with everything that was switched'),
  host('cordon', S.hostCordonRequested, 'Place nothing new on it'),
  host('uncordon', S.hostUncordonRequested, 'Place containers on it again, end its drain'),
  host('drain', S.hostDrainRequested, 'Cordon it and move its containers to others'),
  host('label', S.hostLabelRequested, 'Set and remove labels'),
  {
    name: 'rebalance.start',
    subject: S.rebalanceRequested,
    path: '/rebalances',
    roles: OPERATORS,
    done: [S.rebalanceStarted],
    failed: [],
    summary: 'Move containers so that hosts even out',
  },
  {
    name: 'rebalance.cancel',
    subject: S.rebalanceCancelRequested,
    path: '/rebalances/{id}/cancel',
    fills: 'rebalanceId',
    roles: OPERATORS,
    done: [],
    failed: [],
    summary: 'Begin no further move',
  },
  {
    name: 'image.build',
    subject: S.imageRequested,
    path: '/images',
    roles: ADMINS,
    done: [S.imageTested],
    failed: [],
    summary: 'Build an image from a recipe',
  },
  image('promote', S.imagePromotionRequested, [S.imagePromoted], 'Put a tested version into production'),
  image('activate', S.imageActivationRequested, [S.imageActivated], 'Make a version the default'),
  image('revoke', S.imageRevocationRequested, [S.imageRevoked], 'Let nothing new start on a version'),
  image('retire', S.imageRetirementRequested, [S.imageRetired], 'Remove a version from everywhere'),
  image('prefetch', S.imagePrefetchRequested, [S.imageCacheChanged], 'Have hosts fetch a version ahead'),
  image('pin', S.imagePinRequested, [S.imageCacheChanged], 'Have hosts keep a version, or no longer'),
  image('evict', S.imageEvictRequested, [S.imageCacheChanged], 'Have hosts remove a version'),
  {
    name: 'tenant.change',
    subject: S.tenantChangeRequested,
    path: '/tenants/{tenant}/change',
    fills: 'tenant',
    roles: ADMINS,
    done: [S.tenantChanged],
    failed: [],
    summary: 'Change what all containers of a tenant may reach',
  },
];

/** What the key of a role may publish. */
export function subjectsOfRole(role: ActingRole): readonly RequestSubject[] {
  return CONSOLE_ACTS.filter(({ roles }) => roles.includes(role)).map(({ subject }) => subject);
}
