import { describe, expect, it } from '@jest/globals';
import { commonVersion, MAX_CONFIGURATION_BYTES, parseConfiguration, programsOf } from './configuration.js';

const bridge = { type: 'bridge', ipam: { type: 'host-local' }, capabilities: { ips: true, mac: false } };
const list = (overrides: Record<string, unknown> = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'shop-net', plugins: [bridge, { type: 'portmap' }], ...overrides });

describe('a configuration', () => {
  it('is a chain of plugins, with the capabilities that are true', () => {
    const found = parseConfiguration(list());
    if (typeof found === 'string') throw new Error(found);
    expect(found).toMatchObject({ name: 'shop-net', cniVersion: '1.0.0', versions: ['1.0.0'], disableCheck: false });
    expect(found.plugins.map(({ type, ipam, capabilities }) => [type, ipam, capabilities])).toEqual([
      ['bridge', 'host-local', ['ips']],
      ['portmap', undefined, []],
    ]);
    expect(programsOf(found)).toEqual(['bridge', 'host-local', 'portmap']);
  });

  it.each([
    ['{"name": ', /^is no JSON: /],
    ['[]', /^must be a JSON object$/],
    ['null', /^must be a JSON object$/],
    [JSON.stringify({ cniVersion: '0.3.1', name: 'n', type: 'bridge' }), /^is the configuration of one plugin: put it/],
    [list({ cniVersion: undefined }), /^has no cniVersion; use one of 0\.3\.0, .*1\.1\.0$/],
    [list({ cniVersion: '0.2.0' }), /^cniVersion "0\.2\.0" is not known; use one of/],
    [list({ cniVersion: 1 }), /^cniVersion 1 is not known/],
    [list({ cniVersions: '1.0.0' }), /^cniVersions must be a list$/],
    [list({ name: '../shop' }), /^name "\.\.\/shop" must be letters/],
    [list({ name: undefined }), /^name that is not there must be/],
    [list({ disableCheck: 'no' }), /^disableCheck must be/],
    [list({ plugins: [] }), /^plugins must be a list of 1 to 32/],
    [list({ plugins: {} }), /^plugins must be a list of 1 to 32/],
    [list({ plugins: Array.from({ length: 33 }, () => bridge) }), /^plugins must be a list of 1 to 32/],
    [list({ plugins: ['bridge'] }), /^plugins\[0\] must be an object$/],
    [list({ plugins: [bridge, { type: '../../bin/sh' }] }), /^plugins\[1\]\.type ".*" must be the name of a program/],
    [list({ plugins: [{ type: '..' }] }), /^plugins\[0\]\.type/],
    [list({ plugins: [{}] }), /^plugins\[0\]\.type that is not there/],
    [list({ plugins: [{ type: 'bridge', ipam: { type: 'a/b' } }] }), /^plugins\[0\]\.ipam\.type "a\/b"/],
    [list({ plugins: [{ type: 'bridge', ipam: [] }] }), /^plugins\[0\]\.ipam must be an object$/],
    [list({ plugins: [{ type: 'bridge', capabilities: ['ips'] }] }), /^plugins\[0\]\.capabilities must be an object$/],
    [list({ plugins: [{ type: 'bridge', capabilities: { ips: 1 } }] }), /^plugins\[0\]\.capabilities must be true/],
    [list({ padding: 'x'.repeat(MAX_CONFIGURATION_BYTES) }), /^is larger than/],
  ])('%s is refused', (text, why) => {
    expect(parseConfiguration(text)).toMatch(why);
  });

  it.each([
    [['1.0.0'], [['0.3.1', '0.4.0', '1.0.0']], '1.0.0'],
    [
      ['1.0.0', '1.1.0'],
      [
        ['1.0.0', '1.1.0'],
        ['1.0.0', '1.1.0'],
      ],
      '1.1.0',
    ],
    [['1.1.0', '1.0.0'], [['1.0.0', '1.1.0'], ['1.0.0']], '1.0.0'],
    [['1.1.0'], [['1.0.0', '1.1.0'], ['1.0.0']], undefined],
  ] as const)('for %j whose plugins know %j is used with %s', (versions, supported, common) => {
    expect(commonVersion(versions, supported)).toBe(common);
  });
});
