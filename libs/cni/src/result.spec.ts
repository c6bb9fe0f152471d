import { describe, expect, it } from '@jest/globals';
import { failureMessage, parseResult, supportedVersions } from './result.js';

const result = (overrides: Record<string, unknown>): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    interfaces: [{ name: 'shop0' }, { name: 'eth0', sandbox: '/run/x' }],
    ips: [{ address: '10.99.0.2/24', interface: 1 }],
    ...overrides,
  });

describe('a result', () => {
  it.each([
    [result({}), ['10.99.0.2']],
    [
      result({ ips: [{ address: '10.99.0.2/24' }, { address: '2001:db8::2/64', version: '6' }] }),
      ['10.99.0.2', '2001:db8::2'],
    ],
    [
      result({
        ips: [
          { address: '10.99.0.1/24', interface: 0 },
          { address: '10.99.0.2/24', interface: 1 },
        ],
      }),
      ['10.99.0.2'],
    ],
    [result({ ips: [{ address: '10.99.0.2/24', interface: 7 }] }), []],
    [result({ ips: undefined, interfaces: undefined }), []],
  ])('%s has the addresses %j', (text, addresses) => {
    const found = parseResult(text);
    if (typeof found === 'string') throw new Error(found);
    expect(found.result.addresses).toEqual(addresses);
    expect(found.raw).toEqual(JSON.parse(text));
  });

  it.each([
    ['', 'printed no JSON: nothing'],
    ['{"ips": [\n', 'printed no JSON: {"ips": ['],
    ['[1]', 'printed no JSON object: [1]'],
    [result({ ips: {} }), 'printed a result with bad ips'],
    [result({ ips: Array.from({ length: 17 }, () => ({ address: '10.0.0.1/8' })) }), 'printed a result with bad ips'],
    [result({ interfaces: ['eth0'] }), 'printed a result with bad interfaces'],
    [result({ dns: [] }), 'printed a result with a bad dns'],
    [result({ ips: [{ address: '10.99.0.2' }] }), 'printed a result with an address that is none'],
    [result({ ips: [{ address: '10.99.0.2/24\n' }] }), 'printed a result with an address that is none'],
    [result({ ips: [null] }), 'printed a result with an address that is none'],
  ])('%j is refused', (text, why) => {
    expect(parseResult(text)).toBe(why);
  });

  it('has name servers, and of them only what a resolv.conf can have', () => {
    const found = parseResult(
      result({
        dns: {
          nameservers: ['192.0.2.1', 'x', 'fd00::1', '192.0.2.2', '192.0.2.3', 7],
          domain: 'shop.example',
          search: ['shop.example', 'b.example\nnameserver 203.0.113.1', 'c_1.example.'],
          options: ['ndots:2', 'rotate', 'a b'],
        },
      }),
    );
    expect(found).toMatchObject({
      result: {
        dns: {
          nameServers: ['192.0.2.1', 'fd00::1', '192.0.2.2'],
          search: ['shop.example', 'c_1.example.'],
          options: ['ndots:2', 'rotate'],
        },
      },
    });
  });
});

describe('a failure', () => {
  it.each([
    ['{"code": 11, "msg": "no room", "details": "in 10.99.0.0/24"}', '', 'no room: in 10.99.0.0/24'],
    ['{"code": 11, "msg": "no\\nroom"}', 'noise', 'no room'],
    ['{"code": 11}', 'panic: here\n', 'panic: here'],
    ['half of it', '', 'half of it'],
    ['', '', 'it printed nothing'],
  ])('that printed %j and %j is %j', (stdout, stderr, message) => {
    expect(failureMessage(stdout, stderr)).toBe(message);
  });

  it('is shown by its end when it is long', () => {
    const message = failureMessage('', `${'x'.repeat(5_000)} the cause`);
    expect(message).toHaveLength(1_002);
    expect(message).toMatch(/^… x+ the cause$/);
  });
});

it.each([
  ['{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0",1]}', ['0.4.0', '1.0.0']],
  ['{"supportedVersions":"1.0.0"}', []],
  ['[]', []],
  ['no', []],
])('of %s the versions are %j', (text, versions) => {
  expect(supportedVersions(text)).toEqual(versions);
});
