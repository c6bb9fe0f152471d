import { describe, expect, it } from '@jest/globals';
import { parseConfiguration } from './configuration.js';
import { type CniCommand, pluginEnvironment, pluginInput } from './plugin-call.js';

const attachment = {
  containerId: '0123456789abcdef0123456789abcdef',
  namespace: '/run/plinth/cni/a/b',
  interface: 'eth0',
  runtimeConfig: { portMappings: [{ hostPort: 8080 }], bandwidth: { ingressRate: 1 } },
};
const previous = { ips: [] };

function inputOf(command: CniCommand, cniVersion: string, result: object | undefined): unknown {
  const parsed = parseConfiguration(
    JSON.stringify({
      cniVersion,
      name: 'shop-net',
      plugins: [
        {
          type: 'portmap',
          snat: true,
          name: 'another',
          cniVersion: '0.1.0',
          capabilities: { portMappings: true, mac: true },
          prevResult: 'stale',
          runtimeConfig: 'given',
        },
      ],
    }),
  );
  if (typeof parsed === 'string') throw new Error(parsed);
  const [plugin] = parsed.plugins;
  if (!plugin) throw new Error('no plugin');
  return JSON.parse(pluginInput(command, parsed, plugin, attachment, result as never));
}

describe('a plugin is given', () => {
  const common = {
    type: 'portmap',
    snat: true,
    name: 'shop-net',
    runtimeConfig: { portMappings: [{ hostPort: 8080 }] },
  };

  it.each([
    ['ADD', '1.0.0', undefined, {}],
    ['ADD', '0.3.1', previous, { prevResult: previous }],
    ['CHECK', '0.4.0', previous, { prevResult: previous }],
    ['DEL', '0.4.0', previous, { prevResult: previous }],
    ['DEL', '0.3.1', previous, {}],
    ['DEL', '1.0.0', undefined, {}],
  ] as const)('at %s in %s after %j its part, what it declared, and %j', (command, cniVersion, result, more) => {
    expect(inputOf(command, cniVersion, result)).toEqual({ ...common, cniVersion, ...more });
  });

  it('an environment with nothing else', () => {
    expect(pluginEnvironment('ADD', attachment, ['/opt/cni/bin', '/usr/lib/cni'])).toEqual({
      PATH: expect.stringMatching(/^\/[a-z/:]+$/),
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: attachment.containerId,
      CNI_NETNS: '/run/plinth/cni/a/b',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
    });
    const { namespace: _gone, ...rest } = attachment;
    expect(pluginEnvironment('DEL', rest, ['/usr/lib/cni'])).toMatchObject({ CNI_NETNS: '' });
  });
});
