import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig } from '@plinth/contracts';
import { networkOf, type NetworkProblems, networkRefusal } from './requested-network.js';

const address = { ipv4: '10.64.0.1', ipv6: 'fd00:706c:696e::a40:1' };
const given = (config: Partial<ContainerConfig>): ContainerConfig =>
  ({ containerId: 'a'.repeat(32), network: 'container', ...config }) as ContainerConfig;

describe('the network of a config', () => {
  it.each<[string, Partial<ContainerConfig>]>([
    ['isolated', { network: 'isolated', address, tenantNumber: 1 }],
    ["the host's", { network: 'host', address, tenantNumber: 1 }],
    ['one without an address', {}],
    ['one without the number of its tenant', { address }],
  ])('is none for %s', (_, config) => expect(networkOf(given(config))).toBeUndefined());

  it('permits everything and publishes nothing unless the config names it', () => {
    expect(networkOf(given({ address, tenantNumber: 7 }))).toEqual({
      containerId: 'a'.repeat(32),
      ...address,
      tenant: 7,
      ports: [],
      egress: { policy: 'allow' },
    });
  });
});

describe('a host whose kernel lacks something', () => {
  const plain = given({ address, tenantNumber: 7 });
  const limited = given({ address, tenantNumber: 7, bandwidth: { sendBitsPerSecond: 1_000_000 } });
  const isolated = given({ network: 'isolated' });

  it.each<[string, ContainerConfig, NetworkProblems, RegExp | undefined]>([
    ['nothing', limited, { network: undefined, bandwidth: undefined }, undefined],
    ['networks', plain, { network: 'no nf_tables', bandwidth: undefined }, /network of its own: no nf_tables/],
    ['networks, for one without', isolated, { network: 'no nf_tables', bandwidth: undefined }, undefined],
    ['token buckets', limited, { network: undefined, bandwidth: 'no tbf' }, /bandwidth: no tbf/],
    ['token buckets, for one without a limit', plain, { network: undefined, bandwidth: 'no tbf' }, undefined],
  ])('refuses what needs it, and nothing else: %s', (_, config, problems, why) => {
    const refusal = why && { reason: 'network-unavailable', message: expect.stringMatching(why) };
    expect(networkRefusal(config, problems)).toEqual(refusal);
  });
});
