import { describe, expect, it } from '@jest/globals';
import { AttachedContainers } from './attached-containers.js';
import { firstNumber, interfaceName, networkNames } from './container-network.js';
import type { AttachedNetwork } from './nft/elements.js';

const network = (last: number, change: Partial<AttachedNetwork> = {}): AttachedNetwork => ({
  containerId: String(last),
  interface: `plcabcd0000000${last}`,
  ipv4: `10.64.0.${last}`,
  ipv6: `fd00::${last}`,
  tenant: 1,
  ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }],
  egress: { policy: 'allow' },
  ...change,
});

describe('attached containers', () => {
  it('keep the first holder of a port, and free it with the holder', () => {
    const attached = new AttachedContainers();
    expect(attached.set(network(1))).toHaveLength(6);
    expect(attached.takenBy(network(2))).toMatchObject({ element: { key: 'tcp . 8080' }, containerId: '1' });
    expect(attached.takenBy(network(1))).toBeUndefined();
    expect(attached.set(network(2)).map(({ set }) => set)).toEqual(['tenant4', 'tenant6', 'member4', 'member6']);
    expect(attached.elements()).toHaveLength(10);
    expect(attached.delete('2')).toHaveLength(4);
    expect(attached.takenBy(network(2))).toMatchObject({ containerId: '1' });
    expect(attached.delete('1')).toHaveLength(6);
    expect(attached.delete('1')).toEqual([]);
    expect(attached.takenBy(network(2))).toBeUndefined();
    expect(attached.size).toBe(0);
  });
});

describe('names', () => {
  const names = networkNames('abcdef012345');
  it('tell agents of one machine apart', () => {
    expect(names).toEqual({ table: 'plinth_abcdef012345', prefix: 'plcabcd' });
    expect(() => networkNames('x')).toThrow(RangeError);
  });

  it.each([
    [1, 'plcabcd00000001'],
    [36 ** 8 - 1, 'plcabcdzzzzzzzz'],
    [36 ** 8, 'plcabcd00000000'],
  ])('of interfaces have 15 characters: %d', (number, name) => expect(interfaceName(names, number)).toBe(name));

  it('of a later agent are higher', () => {
    const now = Date.UTC(2026, 10, 21);
    expect(firstNumber(now + 1)).toBe(firstNumber(now) + 1);
    expect(firstNumber(0)).toBe(1);
  });
});
