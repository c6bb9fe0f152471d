import { describe, expect, it } from '@jest/globals';
import { grantOf, groupsOf, parseGroupGrants, personNameOf } from './provider-grant.js';
import { localPath } from './return-path.js';

describe('the mapping of groups', () => {
  it('has a role, and tenants of developers', () => {
    expect(parseGroupGrants('plinth-admins=admin, /team/acme=developer:acme+zeta')).toEqual({
      ok: true,
      value: [
        ['plinth-admins', { role: 'admin', tenants: [] }],
        ['/team/acme', { role: 'developer', tenants: ['acme', 'zeta'] }],
      ],
    });
  });

  it.each([
    '',
    'a',
    'a=',
    '=admin',
    'a=root',
    'a=admin:acme',
    'a=developer',
    'a=developer:',
    'a=developer:Acme',
    'a=developer:a:b',
    'CN=admin,OU=x=viewer',
    'a=viewer,a=admin',
    'a=viewer,',
  ])('that can be misread is refused: "%s"', (text) => {
    expect(parseGroupGrants(text).ok).toBe(false);
  });

  const parsed = parseGroupGrants('ops=operator,acme=developer:acme,zeta=developer:zeta,all=viewer');
  const grants = parsed.ok ? parsed.value : [];
  const viewer = { role: 'viewer', tenants: [] } as const;
  it.each([
    [['all', 'ops'], undefined, { role: 'operator', tenants: [] }],
    [['zeta', 'acme', 'all'], undefined, { role: 'developer', tenants: ['acme', 'zeta'] }],
    [['OPS', 'ops '], undefined, undefined],
    [[], viewer, viewer],
    [['acme'], viewer, { role: 'developer', tenants: ['acme'] }],
  ] as const)('gives %j, with the default %j: %j', (groups, fallback, expected) => {
    expect(grantOf(new Set(groups), grants, fallback)).toEqual(expected);
  });

  it.each([
    [{ groups: ['a', 1, null, ['b']] }, ['a']],
    [{ groups: 'a' }, ['a']],
    [{ groups: { a: true } }, []],
    [{}, []],
  ])('reads groups of %j', (claims, expected) => {
    expect([...groupsOf(claims, 'groups')]).toEqual(expected);
    expect([...groupsOf(claims, 'constructor')]).toEqual([]);
  });
});

describe('the name of a person', () => {
  it.each([
    [{ preferred_username: 'dora', email: 'd@acme.example', sub: '1' }, undefined, 'dora'],
    [{ email: 'd@acme.example', sub: '1' }, undefined, 'd@acme.example'],
    [{ preferred_username: 'x'.repeat(65_536), sub: 'auth0|1' }, undefined, 'auth0|1'],
    [{ preferred_username: 'do\u0000ra', sub: '1' }, undefined, '1'],
    [{ preferred_username: 'd\u043era', sub: '1' }, undefined, '1'],
    [{ preferred_username: ['admin'], sub: '<b>' }, undefined, undefined],
    [{ preferred_username: 'dora', sub: '1' }, 'nick', undefined],
    [{ nick: 'oidc:dora' }, 'nick', undefined],
    [{ nick: 'do' }, 'nick', 'do'],
  ])('%#', (claims, claim, expected) => {
    expect(personNameOf(claims, claim)).toBe(expected);
  });
});

describe('where a person goes on', () => {
  it.each([
    ['/', '/'],
    ['/containers?q=state%3Afailed', '/containers?q=state%3Afailed'],
    ['/access#x', '/access'],
    ['', undefined],
    ['containers', undefined],
    ['//evil.example', undefined],
    ['/\\evil.example', undefined],
    ['/x\\..\\..//evil.example', undefined],
    ['/.//evil.example', undefined],
    ['/\t/evil.example', undefined],
    ['https://evil.example/', undefined],
    ['javascript:alert(1)', undefined],
    ['/api/v1/session/oidc', undefined],
    ['/sign-in/oidc?code=x', undefined],
    [`/${'x'.repeat(2_000)}`, undefined],
  ])('%j: %j', (text, expected) => {
    expect(localPath(text)).toBe(expected);
  });
});
