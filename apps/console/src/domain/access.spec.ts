import { describe, expect, it } from '@jest/globals';
import { containerAt, hostAt } from '../testing/statuses.js';
import { maySee, mayUse, ROLES, ROUTES, type Viewer, viewKey, visibleTopics } from './access.js';

const viewer = (role: Viewer['role'], ...tenants: string[]): Viewer => ({ role, tenants });

describe('roles', () => {
  it.each(ROLES)('%s may use what is meant for it', (role) => {
    const denied = {
      admin: [],
      operator: ['sign-ins'],
      viewer: ['sign-ins'],
      developer: ['hosts', 'storage', 'images', 'rollouts', 'sign-ins'],
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
