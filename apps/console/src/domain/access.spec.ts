import { describe, expect, it } from '@jest/globals';
import { CONSOLE_ACTS } from '@plinth/contracts';
import { containerAt, hostAt } from '../testing/statuses.js';
import {
  actRefusal,
  mayGrant,
  maySee,
  maySeeTenant,
  mayUse,
  ROLES,
  ROUTES,
  type Viewer,
  viewKey,
  visibleTopics,
} from './access.js';

const viewer = (role: Viewer['role'], ...tenants: string[]): Viewer => ({ role, tenants });

describe('roles', () => {
  it.each(ROLES)('%s may use what is meant for it', (role) => {
    const ofAdmins = ['sign-ins', 'audit', 'users', 'dead-letters'];
    const denied = {
      admin: [],
      operator: ofAdmins,
      viewer: ofAdmins,
      developer: ['hosts', 'storage', 'images', 'image-uses', 'rollouts', ...ofAdmins],
    };
    expect(ROUTES.filter((route) => !mayUse(viewer(role), route))).toEqual(denied[role]);
  });

  it.each([
    [viewer('viewer'), true, true],
    [viewer('developer', 'acme'), true, false],
    [viewer('developer', 'acme', 'zeta'), true, true],
    [viewer('developer'), false, false],
    [viewer('developer', 'ac'), false, false],
  ])('%j sees containers of acme: %s, of zeta: %s', (who, acme, zeta) => {
    expect(maySee(who, 'containers', containerAt(1, { tenant: 'acme' }))).toBe(acme);
    expect(maySee(who, 'containers', containerAt(1, { tenant: 'zeta' }))).toBe(zeta);
  });

  it('hide everything but containers from developers', () => {
    expect(maySee(viewer('developer', 'acme'), 'hosts', hostAt(1))).toBe(false);
    expect(visibleTopics(viewer('developer', 'acme'), ['hosts', 'containers', 'rollouts'])).toEqual(['containers']);
  });

  it('share what is sent only among those who see the same', () => {
    expect(viewKey(viewer('admin'))).toBe(viewKey(viewer('viewer')));
    expect(viewKey(viewer('developer', 'a', 'b'))).toBe(viewKey(viewer('developer', 'b', 'a')));
    expect(viewKey(viewer('developer', 'a'))).not.toBe(viewKey(viewer('developer', 'b')));
    expect(viewKey(viewer('developer'))).not.toBe(viewKey(viewer('viewer')));
  });
});

describe('acts', () => {
  it('are of roles: nothing for viewers, no image for developers', () => {
    const allowed = (role: Viewer['role']): string[] =>
      CONSOLE_ACTS.filter((act) => actRefusal(viewer(role, 'acme'), act) === undefined).map(({ name }) => name);
    expect(allowed('viewer')).toEqual([]);
    expect(allowed('developer')).toEqual([
      'container.create',
      'container.stop',
      'container.start',
      'container.restart',
      'container.remove',
      'container.change',
    ]);
    expect(allowed('operator').some((name) => /^(?:image|tenant)\./.test(name))).toBe(false);
    expect(allowed('admin')).toHaveLength(CONSOLE_ACTS.length);
  });

  it.each([
    ['acme', {}, undefined],
    ['zeta', {}, 'zeta is no tenant of yours'],
    [undefined, {}, 'this is no tenant of yours'],
    ['acme', { image: 'debian-12' }, 'a developer may not choose image of a container'],
    ['acme', { hostUsers: false }, 'a developer may not choose hostUsers of a container'],
    ['acme', { network: 'host' }, 'a developer may not choose the network of the host'],
    ['acme', { network: 'isolated', env: { image: 'x' } }, undefined],
  ])('of a developer in %s with %j: %s', (tenant, body, refusal) => {
    const [create] = CONSOLE_ACTS;
    if (!create) throw new Error('no act');
    expect(actRefusal(viewer('developer', 'acme'), create, { tenant, body })).toBe(refusal);
    if (tenant !== undefined) expect(actRefusal(viewer('operator'), create, { tenant, body })).toBeUndefined();
  });

  it('are not for tokens where they make rights', () => {
    expect(ROUTES.filter((route) => !mayUse(viewer('admin'), route, true))).toEqual(['password', 'tokens', 'users']);
  });
});

it.each([
  [viewer('admin'), viewer('admin'), true],
  [viewer('operator'), viewer('admin'), false],
  [viewer('operator'), viewer('developer', 'zeta'), true],
  [viewer('operator'), viewer('developer'), false],
  [viewer('viewer'), viewer('viewer'), true],
  [viewer('viewer'), viewer('developer', 'acme'), false],
  [viewer('developer', 'acme'), viewer('developer', 'acme'), true],
  [viewer('developer', 'acme'), viewer('developer', 'acme', 'zeta'), false],
  [viewer('developer', 'acme'), viewer('viewer'), false],
])('%j may give %j: %s', (by, given, may) => {
  expect(mayGrant(by, given)).toBe(may);
});

it.each([
  [viewer('viewer'), undefined, true],
  [viewer('developer', 'acme'), undefined, false],
  [viewer('developer', 'acme'), 'acme', true],
  [viewer('developer', 'acme'), 'zeta', false],
])('%j sees what is of tenant %s: %s', (who, tenant, sees) => {
  expect(maySeeTenant(who, tenant)).toBe(sees);
});
