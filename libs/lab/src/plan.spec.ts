import { describe, expect, it } from '@jest/globals';
import { bridgeRules, type NetworkFault } from './network-faults.js';
import { planMachines } from './plan.js';
import { layOut } from './product/layout.js';

const wanted = ['a', 'b', 'c'].map((name, index) => ({ name, datacenter: `dc-${(index % 2) + 1}` }));
const machines = planMachines('/tmp/lab', wanted);

describe('planMachines', () => {
  it('gives addresses by data centre', () => {
    expect(machines.map(({ name, address }) => `${name} ${address}`)).toEqual([
      'a 198.18.1.1',
      'b 198.18.2.2',
      'c 198.18.1.3',
    ]);
  });

  it.each([
    ['/tmp/a b', wanted, /can't hold a lab/],
    ['/tmp/lab', [], /1 to 200/],
    ['/tmp/lab', [...wanted, { name: 'a', datacenter: 'dc-1' }], /a names two things/],
    ['/tmp/lab', [{ name: 'dc-1', datacenter: 'dc-1' }], /dc-1 names two things/],
    ['/tmp/lab', [{ name: 'A;reboot', datacenter: 'dc-1' }], /is no name/],
  ])('refuses %s %j', (directory, given, problem) => {
    expect(() => planMachines(directory, given)).toThrow(problem);
  });
});

describe('bridgeRules', () => {
  const cut = (from: string, to?: string, oneWay = false): NetworkFault => ({
    kind: 'cut',
    from,
    ...(to && { to }),
    oneWay,
  });
  it.each<[NetworkFault, string[]]>([
    [cut('a', 'b'), ['iifname { "v1" } oifname { "v2" } drop', 'iifname { "v2" } oifname { "v1" } drop']],
    [cut('a', 'b', true), ['iifname { "v1" } oifname { "v2" } drop']],
    [cut('dc-1', undefined, true), ['iifname { "v1", "v3" } oifname { "v2" } drop']],
    [cut('dc-1', 'a'), []],
    [
      { kind: 'slow', from: 'a', to: 'b', oneWay: true, kibibytesPerSecond: 2_000, lossPercent: 5 },
      [
        'iifname { "v1" } oifname { "v2" } numgen random mod 100 < 5 drop',
        'iifname { "v1" } oifname { "v2" } limit rate over 2000 kbytes/second burst 200 kbytes drop',
      ],
    ],
  ])('%j', (fault, rules) => {
    const lines = bridgeRules(machines, [fault]).split('\n');
    expect(lines.filter((line) => line.includes('drop')).map((line) => line.trim())).toEqual(rules);
  });

  it('knows machines and data centres only', () => {
    expect(() => bridgeRules(machines, [cut('a', 'x')])).toThrow('there is no machine or data centre x');
  });
});

describe('layOut', () => {
  it.each([
    [{ machines: 2, datacenters: 1, busServers: 1 }, 'control host-1'],
    [{ machines: 3, datacenters: 2, busServers: 1 }, 'control storage-1 host-1'],
    [{ machines: 5, datacenters: 2, busServers: 1 }, 'control storage-1 storage-2 host-1 host-2'],
    [{ machines: 8, datacenters: 2, busServers: 3 }, 'control bus-1 bus-2 bus-3 storage-1 storage-2 host-1 host-2'],
  ] as const)('%j', (options, names) => {
    expect(
      layOut(options)
        .map(({ name }) => name)
        .join(' '),
    ).toBe(names);
  });

  it('says how many machines it needs', () => {
    expect(() => layOut({ machines: 4, datacenters: 1, busServers: 3 })).toThrow('needs 5 machines');
  });
});
