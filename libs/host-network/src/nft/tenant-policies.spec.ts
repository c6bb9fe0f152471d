import { describe, expect, it } from '@jest/globals';
import { policyElements, TenantPolicies } from './tenant-policies.js';

describe('the elements of a policy', () => {
  it.each([
    ['no policy', undefined, []],
    ['allow', { policy: 'allow' as const }, []],
    ['none', { policy: 'none' as const }, ['limited_tenants 7']],
    [
      'a list',
      {
        policy: 'list' as const,
        to: [
          { network: '10.0.0.0/8' },
          { network: '192.0.2.7/32', ports: ['443', '8000-8100'], protocol: 'tcp' as const },
          { network: '2001:db8::/32', ports: ['53'] },
        ],
      },
      [
        'limited_tenants 7',
        'tenant_networks4 7 . 10.0.0.0/8',
        'tenant_services4 7 . 192.0.2.7 . tcp . 443',
        'tenant_services4 7 . 192.0.2.7 . tcp . 8000-8100',
        'tenant_services6 7 . 2001:db8::/32 . tcp . 53',
        'tenant_services6 7 . 2001:db8::/32 . udp . 53',
      ],
    ],
  ])('%s', (_name, policy, elements) => {
    expect(policyElements(7, policy).map(({ set, key }) => `${set} ${key}`)).toEqual(elements);
  });

  it('change by what differs, and not with what is so already', () => {
    const policies = new TenantPolicies();
    const list = (...networks: string[]) => ({
      policy: 'list' as const,
      to: networks.map((network) => ({ network })),
    });
    policies.set(7, list('10.0.0.0/8'));
    policies.set(8, { policy: 'none' });
    expect(policies.set(7, list('10.0.0.0/8', '192.0.2.0/24'))).toEqual({
      add: [{ set: 'tenant_networks4', key: '7 . 192.0.2.0/24' }],
      remove: [],
    });
    expect(policies.set(7, list('10.0.0.0/8', '192.0.2.0/24'))).toEqual({ add: [], remove: [] });
    expect(policies.elements().map(({ set, key }) => `${set} ${key}`)).toEqual([
      'limited_tenants 7',
      'tenant_networks4 7 . 10.0.0.0/8',
      'tenant_networks4 7 . 192.0.2.0/24',
      'limited_tenants 8',
    ]);
    expect(policies.set(8, undefined).remove).toEqual([{ set: 'limited_tenants', key: '8' }]);
  });
});
