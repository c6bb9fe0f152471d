import { describe, expect, it } from '@jest/globals';
import { ContainerRequested, decodePayload } from '@plinth/contracts';
import { parseEgress, parsePublish } from './network-arguments.js';

const isTaken = (body: object): boolean =>
  decodePayload(ContainerRequested, Buffer.from(JSON.stringify({ network: 'container', ...body }))).ok;

describe('--publish', () => {
  it.each([
    ['80', { container: 80, protocol: 'tcp' }],
    ['80/udp', { container: 80, protocol: 'udp' }],
    ['8080:80', { container: 80, host: 8080, protocol: 'tcp' }],
    ['8080:80/tcp', { container: 80, host: 8080, protocol: 'tcp' }],
    ['5353:53/udp', { container: 53, host: 5353, protocol: 'udp' }],
    ['192.0.2.1:8080:80', { container: 80, host: 8080, protocol: 'tcp', address: '192.0.2.1' }],
    ['192.0.2.1:80', { container: 80, protocol: 'tcp', address: '192.0.2.1' }],
    ['[2001:db8::1]:8080:80/udp', { container: 80, host: 8080, protocol: 'udp', address: '2001:db8::1' }],
    ['0.0.0.0:80', { container: 80, protocol: 'tcp', address: '0.0.0.0' }],
    ['[::]:80', { container: 80, protocol: 'tcp', address: '::' }],
    ['1:65535', { container: 65_535, host: 1, protocol: 'tcp' }],
  ])('%s', (text, port) => {
    expect(parsePublish(text)).toEqual([port]);
    expect(isTaken({ ports: parsePublish(text) })).toBe(true);
  });

  it.each([
    ['', /8080:80/],
    ['0', /1 to 65535/],
    ['65536', /1 to 65535/],
    ['8080:0', /1 to 65535/],
    [':80', /1 to 65535/],
    ['80:', /1 to 65535/],
    ['-80', /1 to 65535/],
    ['http', /1 to 65535/],
    ['80 ', /1 to 65535/],
    ['1e3', /1 to 65535/],
    ['8000-8010', /ranges/],
    ['8000-8010:80', /ranges/],
    ['80/sctp', /\/udp/],
    ['80/', /\/udp/],
    ['1:2:3', /8080:80/],
    ['192.0.2.1', /8080:80/],
    ['192.0.2.256:80', /no address/],
    ['127.0.0.1:8080:80', /not reached at 127.0.0.1/],
    ['169.254.1.1:53:53/udp', /not reached/],
    ['224.0.0.1:80', /not reached/],
    ['255.255.255.255:80', /not reached/],
    ['[::1]:80', /not reached at ::1/],
    ['[fe80::1]:80', /not reached/],
    ['[ff02::1]:80', /not reached/],
    ['[::ffff:127.0.0.1]:80', /not reached/],
    ['192.0.2.1::80', /1 to 65535/],
    ['2001:db8::1:80', /8080:80/],
    ['[2001:db8::1]', /8080:80/],
    ['[localhost]:80', /no address/],
    ['example.org:80', /no address/],
    ['192.0.2.1:1:2:3', /8080:80/],
  ])('refuses %j', (text, message) => expect(() => parsePublish(text)).toThrow(message));

  it('can be repeated', () =>
    expect(parsePublish('443', parsePublish('80')).map(({ container }) => container)).toEqual([80, 443]));
});

describe('--egress', () => {
  it.each([
    ['allow', { policy: 'allow' }],
    ['none', { policy: 'none' }],
    ['10.0.0.0/8', { policy: 'list', to: [{ network: '10.0.0.0/8' }] }],
    ['192.0.2.7', { policy: 'list', to: [{ network: '192.0.2.7/32' }] }],
    ['2001:db8::/32', { policy: 'list', to: [{ network: '2001:db8::/32' }] }],
    ['2001:db8::7', { policy: 'list', to: [{ network: '2001:db8::7/128' }] }],
    ['10.0.0.0/8/udp', { policy: 'list', to: [{ network: '10.0.0.0/8', protocol: 'udp' }] }],
    ['10.0.0.0/8:443', { policy: 'list', to: [{ network: '10.0.0.0/8', ports: ['443'] }] }],
    [
      '192.0.2.7:443,8000-8100/tcp',
      { policy: 'list', to: [{ network: '192.0.2.7/32', protocol: 'tcp', ports: ['443', '8000-8100'] }] },
    ],
    ['[2001:db8::/32]:443', { policy: 'list', to: [{ network: '2001:db8::/32', ports: ['443'] }] }],
    ['[::]/udp', { policy: 'list', to: [{ network: '::/128', protocol: 'udp' }] }],
  ])('%s', (text, policy) => {
    expect(parseEgress(text)).toEqual(policy);
    expect(isTaken({ egress: parseEgress(text) })).toBe(true);
  });

  it.each([
    ['', /allow, none/],
    ['deny', /allow, none/],
    ['10.0.0.1/8', /bits behind the prefix/],
    ['10.0.0.0/33', /allow, none/],
    ['example.org', /allow, none/],
    ['10.0.0.0/8:', /such as 443/],
    ['10.0.0.0/8:http', /such as 443/],
    ['10.0.0.0/8:0', /such as 443/],
    ['10.0.0.0/8:90-80', /lower port/],
    ['10.0.0.0/8:70000', /1 to 65535/],
    ['10.0.0.0/8/sctp', /allow, none/],
    ['[10.0.0.0/8', /allow, none/],
  ])('refuses %j', (text, message) => expect(() => parseEgress(text)).toThrow(message));

  it('collects networks', () =>
    expect(parseEgress('192.0.2.0/24', parseEgress('10.0.0.0/8'))).toEqual({
      policy: 'list',
      to: [{ network: '10.0.0.0/8' }, { network: '192.0.2.0/24' }],
    }));

  it.each([
    ['none', 'allow'],
    ['none', '10.0.0.0/8'],
    ['10.0.0.0/8', 'none'],
  ])('refuses %s and %s', (one, other) => expect(() => parseEgress(other, parseEgress(one))).toThrow(/stand alone/));
});
