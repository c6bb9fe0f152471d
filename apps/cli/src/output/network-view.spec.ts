import { describe, expect, it } from '@jest/globals';
import { describeEgress, describePorts, domainOf } from './network-view.js';

const PORT = { protocol: 'tcp' as const, hostPort: 8080, containerPort: 80 };

describe('ports for people', () => {
  it.each([
    [undefined, null],
    [[], null],
    [[PORT], '8080->80/tcp'],
    [[PORT, { ...PORT, protocol: 'udp' as const }], '8080->80/tcp, 8080->80/udp'],
    [[{ ...PORT, hostAddress: '192.0.2.1' }], '192.0.2.1:8080->80/tcp'],
    [[{ ...PORT, hostAddress: '::1' }], '[::1]:8080->80/tcp'],
  ])('%j', (ports, text) => expect(describePorts(ports)).toBe(text));
});

describe('egress for people', () => {
  it.each([
    [{ policy: 'none' as const }, 'none'],
    [
      { policy: 'list' as const, to: [{ network: '10.0.0.0/8', protocol: 'tcp' as const, ports: ['80', '443'] }] },
      '10.0.0.0/8 port 80,443 tcp',
    ],
    [{ policy: 'list' as const, to: [{ network: '::/0' }, { network: '10.0.0.0/8' }] }, '::/0; 10.0.0.0/8'],
  ])('%j', (egress, text) => expect(describeEgress(egress)).toBe(text));
});

it.each([
  [{}, 'plinth.internal'],
  [{ PLINTH_DOMAIN: 'cloud.example' }, 'cloud.example'],
  [{ PLINTH_DOMAIN: 'No Domain' }, 'plinth.internal'],
])('names end so with %j', (environment, domain) => expect(domainOf(environment)).toBe(domain));
