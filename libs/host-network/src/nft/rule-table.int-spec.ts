/** On the real kernel, in a network of its own. Needs root and nft(8). */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { enterNewNetwork } from '../network-namespace.js';
import { networkNames } from '../container-network.js';
import { changeMessages } from './element-messages.js';
import { type Change, changeText, type Element } from './elements.js';
import { NftError, Nftables } from './nftables.js';
import { RuleTable } from './rule-table.js';
import { SETS } from './sets.js';

const POOLS = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };
const [ours, theirs] = ['aaaa00000000', 'bbbb00000000'].map(networkNames) as [
  ReturnType<typeof networkNames>,
  ReturnType<typeof networkNames>,
];
let nft: Nftables;
let table: RuleTable;
let reference: RuleTable;

const FOUR = ['10.64.0.1', '192.0.2.0/24', '192.0.3.1-192.0.3.9', '0.0.0.0/0'] as const;
const SIX = ['fd00:706c:696e::a40:1', 'fd00:2::/33', 'fd00:3::5-fd00:3::1:7', '::/0'] as const;
const element = (set: string, key: string, value?: string): Element => ({
  set,
  key,
  ...(value !== undefined && { value }),
});
const perFamily = ([own, network, range, all]: readonly [string, string, string, string], family: 4 | 6): Element[] => [
  // A name of fifteen characters, and one that ends before.
  element(`tenant${family}`, `plcaaaa0000zz12 . ${own}`, '1'),
  element(`tenant${family}`, `plcaaaa1 . ${own}`, '65535'),
  element(`member${family}`, `258 . ${own}`),
  element(`remote${family}`, `65534 . ${own}`),
  element(`tenants${family}`, own, '772'),
  element(`hosts${family}`, own),
  element(`ports${family}`, 'tcp . 8080', `${own} . 80`),
  element(`ports${family}`, 'udp . 65535', `${own} . 1`),
  element(`bound${family}`, `${own} . udp . 53`, `${own} . 5353`),
  element(`limited${family}`, own),
  element(`networks${family}`, `${own} . ${network}`),
  element(`networks${family}`, `${own} . ${range}`),
  element(`services${family}`, `${own} . ${network} . tcp . 443`),
  element(`services${family}`, `${own} . ${all} . udp . 8000-8191`),
  element(`tenant_networks${family}`, `7 . ${network}`),
  element(`tenant_services${family}`, `7 . ${range} . tcp . 0-65535`),
];
const ALL: readonly Element[] = [...perFamily(FOUR, 4), ...perFamily(SIX, 6), element('limited_tenants', '7')];

/** What the kernel holds, without the names of the table and numbers that it gives. */
function listing(name: string): unknown {
  const text = execFileSync('nft', ['-j', 'list', 'table', 'inet', name], { encoding: 'utf8' });
  return JSON.parse(text.replaceAll(name, 'T').replace(/"handle": \d+/g, '"handle": 0')) as unknown;
}

function applyBoth(change: Change): void {
  table.change(change);
  nft.run(changeText(theirs.table, change));
}

beforeAll(() => {
  enterNewNetwork();
  const opened = Nftables.open();
  if (typeof opened === 'string') throw new Error(opened);
  nft = opened;
  table = new RuleTable(nft, { ...ours, ...POOLS });
  // The rules that name interfaces are the same in both.
  reference = new RuleTable(nft, { ...theirs, prefix: ours.prefix, ...POOLS });
  table.write([]);
  reference.write([]);
});

afterAll(() => {
  table.close();
  reference.close();
  nft.close();
});

const written = ALL.filter((each) => changeMessages(ours.table, { add: [each], remove: [] }) !== undefined);

it('has the same elements whether libnftables wrote them or not, in every set', () => {
  expect(new Set(ALL.map(({ set }) => set))).toEqual(new Set(Object.keys(SETS)));
  // Marks in ranges are for libnftables.
  expect(ALL.filter((each) => !written.includes(each)).map(({ set }) => set)).toEqual(
    [4, 6].flatMap((family) => [`tenant_networks${family}`, `tenant_services${family}`]),
  );
  const steps: Change[] = [
    ...written.map((each) => ({ add: [each], remove: [] })),
    { add: ALL, remove: [] },
    { add: [], remove: written.filter((_, index) => index % 2 === 0) },
    // The same keys with other values, in one transaction.
    {
      remove: [element('ports4', 'udp . 65535'), element('tenant6', `plcaaaa1 . ${SIX[0]}`)],
      add: [element('ports4', 'udp . 65535', '10.64.0.9 . 9'), element('tenant6', `plcaaaa1 . ${SIX[0]}`, '3')],
    },
  ];
  for (const step of steps) {
    applyBoth(step);
    expect(listing(ours.table)).toEqual(listing(theirs.table));
    expect([table.isGone, table.isSuspect]).toEqual([false, true]);
  }
  expect(table.matches()).toBe(true);
  table.change({ add: [], remove: table.elements });
  expect([table.isSuspect, table.matches()]).toEqual([false, true]);
});

it('refuses what the kernel refuses, as a whole, and sees what others change', () => {
  const one = element('limited4', '10.64.0.1');
  const two = element('limited4', '10.64.0.2');
  expect(() => table.change({ add: [one], remove: [two] })).toThrow(NftError);
  expect(table.matches()).toBe(true);
  table.change({ add: [one], remove: [] });
  table.change({ add: [one], remove: [] });
  expect([table.isSuspect, table.matches()]).toEqual([false, true]);
  nft.run(`delete element inet ${ours.table} limited4 { 10.64.0.1 }`);
  expect([table.isSuspect, table.matches()]).toEqual([true, false]);
  table.change({ add: [two], remove: [] });
  expect([table.isSuspect, table.matches()]).toEqual([true, false]);
  expect(table.otherAgents()).toEqual([theirs.table]);
  nft.run(`delete table inet ${ours.table}`);
  expect(() => table.change({ add: [one], remove: [] })).toThrow(/ENOENT.*change elements of the table/);
  expect(table.isGone).toBe(true);
});
