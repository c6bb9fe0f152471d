import { expect, it } from '@jest/globals';
import { type BusServer, judgeBus } from './bus.js';

const server = (version?: string, cluster?: string): BusServer => ({ url: 'bus-1:4222', version, cluster });
const three = (version: string): BusServer[] => Array.from({ length: 3 }, () => server(version, 'plinth'));

it.each<[string, BusServer[], number | undefined, string, RegExp]>([
  ['one old server', [server('2.9.10')], undefined, 'ok', /1 of 1/],
  ['three replicas on old servers', three('2.9.10'), 3, 'fail', /use 2\.10\.23 or later/],
  ['one old server among new ones', [...three('2.10.27'), server('2.10.22', 'plinth')], 3, 'fail', /2\.10\.22 loses/],
  ['three replicas on new servers', three('2.10.27'), 3, 'warn', /sync_interval: always/],
  ['replicas without a cluster', [server('2.10.27')], 3, 'fail', /need a cluster/],
  ['a cluster without replicas', three('2.10.27'), undefined, 'warn', /PLINTH_BUS_REPLICAS=3/],
  ['a silent one', [...three('2.10.27'), server()], 3, 'warn', /reach bus-1:4222/],
])('%s', (_what, servers, replicas, state, text) => {
  const check = judgeBus(servers, replicas);
  expect(check.state).toBe(state);
  expect(`${check.found} ${check.todo ?? ''}`).toMatch(text);
});
