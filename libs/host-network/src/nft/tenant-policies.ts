/**
 * What all containers of a tenant may reach, and the elements that follow: as many as the policy has networks and
 * ports, however many containers the tenant has. Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Egress } from '../container-network.js';
import { egressParts } from './egress-ranges.js';
import { type Change, difference, type Element } from './elements.js';

const FAMILIES = [4, 6] as const;
const NOTHING: Change = { add: [], remove: [] };

export class TenantPolicies {
  private readonly known = new Map<number, Egress>();

  /** @param policy undefined: everything */
  set(tenant: number, policy: Egress | undefined): Change {
    const before = this.known.get(tenant);
    if (isDeepStrictEqual(before, policy)) return NOTHING;
    if (policy === undefined) this.known.delete(tenant);
    else this.known.set(tenant, policy);
    return difference(policyElements(tenant, before), policyElements(tenant, policy));
  }

  elements(): Element[] {
    return [...this.known].flatMap(([tenant, policy]) => policyElements(tenant, policy));
  }
}

export function policyElements(tenant: number, policy: Egress | undefined): Element[] {
  if (policy === undefined || policy.policy === 'allow') return [];
  const own = String(tenant);
  const to = policy.policy === 'list' ? (policy.to ?? []) : [];
  return [
    { set: 'limited_tenants', key: own },
    ...FAMILIES.flatMap((family) =>
      egressParts(to, family).flatMap(({ addresses, services }): Element[] =>
        services === undefined
          ? [{ set: `tenant_networks${family}`, key: `${own} . ${addresses}` }]
          : services.map(({ protocol, ports }) => ({
              set: `tenant_services${family}`,
              key: `${own} . ${addresses} . ${protocol} . ${ports}`,
            })),
      ),
    ),
  ];
}
