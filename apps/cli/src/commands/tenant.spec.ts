import { describe, expect, it } from '@jest/globals';
import type { TenantDetails } from '@plinth/contracts';
import { sentence } from './tenant.js';

const details = (
  hosts: TenantDetails['hosts'],
  egress: TenantDetails['egress'] = { policy: 'none' },
): TenantDetails => ({ tenant: 'acme', number: 7, containers: 3, egress, revision: 5, changedAt: null, hosts });

describe('plinth tenant set', () => {
  it.each<[TenantDetails, string[]]>([
    [details([]), ['egress of tenant acme: none; it has no container with a network to the outside yet']],
    [
      details([{ host: 'host-1', containers: 2, effect: 'yes', isReady: true }], {
        policy: 'list',
        to: [{ network: '192.0.2.7/32', ports: ['443'], protocol: 'tcp' }],
      }),
      ['egress of tenant acme: 192.0.2.7/32 port 443 tcp; in effect for 2 containers on 1 host'],
    ],
    [
      details([
        { host: 'host-1', containers: 1, effect: 'yes', isReady: true },
        { host: 'host-2', containers: 1, effect: 'no', isReady: false },
        { host: 'host-3', containers: 2, effect: 'never', isReady: true },
      ]),
      [
        'egress of tenant acme: none; in effect for 1 container on 1 host',
        'not in effect yet for 1 container on host-2, which is silent: it takes effect when the host is back',
        "NOT HELD for 2 containers on host-3, which have the host's own network or one of CNI: plinth ps --tenant acme --host host-3 lists them; move or remove them",
      ],
    ],
    [
      details([{ host: 'host-3', containers: 2, effect: 'never', isReady: true }], { policy: 'allow' }),
      ['egress of tenant acme: allow; in effect for 0 containers on 0 hosts'],
    ],
  ])('says where it is in effect, and where not', (given, lines) => {
    expect(sentence(given).split('\n')).toEqual(lines);
  });
});
