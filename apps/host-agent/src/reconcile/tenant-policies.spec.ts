import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig, EgressPolicy } from '@plinth/contracts';
import { createLogger } from '@plinth/service-kit';
import type { PolicyStore } from '../adapters/policy-store.js';
import { TenantPolicies } from './tenant-policies.js';

const POLICY = { policy: 'none', revision: 5 } as const;
const CONFIG = { tenant: 'acme', tenantNumber: 7, tenantPolicy: POLICY } as unknown as ContainerConfig;

describe('the policy of a tenant', () => {
  it('stays in effect when a container of it comes while the policy is being removed', async () => {
    const inEffect = new Map<number, EgressPolicy>();
    let begun: () => void = () => undefined;
    let goOn: () => void = () => undefined;
    const deleting = new Promise<void>((resolve) => (begun = resolve));
    const store = {
      readAll: () => Promise.resolve({ values: [], unreadable: [] }),
      save: () => Promise.resolve(),
      delete: () => {
        begun();
        return new Promise<void>((resolve) => (goOn = resolve));
      },
    } as unknown as PolicyStore;
    const networks = {
      setTenantPolicy: ({ tenantNumber }: { tenantNumber: number }, policy: EgressPolicy | undefined) =>
        void (policy ? inEffect.set(tenantNumber, policy) : inEffect.delete(tenantNumber)),
    };
    const policies = new TenantPolicies(store, networks, createLogger('host-agent', 'test', 'fatal'));
    await policies.load();
    policies.learn(CONFIG);
    policies.accept({ tenant: 'acme', tenantNumber: 7 }, false);
    await deleting;
    policies.learn(CONFIG);
    goOn();
    await policies.close();
    expect(inEffect.get(7)).toEqual(POLICY);
  });
});
