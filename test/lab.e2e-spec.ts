/**
 * The product on machines of a lab: its servers and services each on their own, with nothing but the network between them.
 * Containers on two hosts in two data centres; one host loses its power, the other is cut off.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Lab, LabProduct, layOut, leftOf } from '@plinth/lab';
import { makeSmallRootfs, scratchDirectory } from '@plinth/testkit';
import { INSTALLATION } from './stack.js';

const scratch = scratchDirectory();
const directory = join(scratch.path, 'lab');
// No storage node beside the hosts' own: images come from the image-builder, to each host over the network.
const machines = layOut({ machines: 4, datacenters: 2, busServers: 1 }).filter(({ role }) => role !== 'storage');
let lab: Lab;
let product: LabProduct;

beforeAll(async () => {
  lab = await Lab.start({ directory, machines, life: 'bound', shares: [INSTALLATION] });
  product = await LabProduct.start(lab, { machines, installation: INSTALLATION });
});
afterAll(async () => {
  await lab.down();
  expect(leftOf(directory)).toEqual([]);
  scratch.stop();
});

async function plinth(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await product.plinth(...args);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

interface Row {
  readonly name: string;
  readonly host: string;
  readonly state: string;
  readonly restarts: number;
}
const containers = async (): Promise<Row[]> => JSON.parse(await plinth('ps', '--json')) as Row[];

async function until(what: string, holds: (rows: readonly Row[]) => boolean): Promise<void> {
  let rows: Row[] = [];
  for (const end = Date.now() + 180_000; Date.now() < end; await pause(500)) {
    rows = await containers();
    if (holds(rows)) return;
  }
  throw new Error(`not within 180 s: ${what}: ${JSON.stringify(rows)}`);
}

it('runs containers on hosts of two data centres, from images that each host has fetched', async () => {
  const control = lab.machine('control');
  const { sha256 } = makeSmallRootfs(join(scratch.path, 'small'), control.path('/var/lib/plinth/sources/tiny.tar.gz'));
  control.writeFile(
    '/root/recipe.yaml',
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: [/bin/sleep, infinity]\n`,
  );
  await plinth('image', 'build', '/root/recipe.yaml');
  await plinth('image', 'promote', 'tiny@v1', '--to', 'images=yes', '--no-wait');
  for (const number of [1, 2])
    await plinth('run', 'tiny@v1', '--strict', '--name', `shop-${number}`, '--datacenter', `dc-${number}`);
  expect((await containers()).map(({ host, state }) => `${host} ${state}`).toSorted()).toEqual([
    'host-1 running',
    'host-2 running',
  ]);
  expect(await plinth('exec', 'shop-1', '--', '/bin/cat', '/proc/sys/kernel/hostname')).toBe('shop-1\n');
});

it('starts again what ran on a host that had lost its power, and keeps what runs on one that is cut off', async () => {
  await lab.cut('host-2', 'control');
  await lab.powerCut('host-1');
  await until('both hosts are lost', (rows) => rows.every(({ state }) => state === 'lost'));
  await lab.heal();
  await lab.powerOn('host-1');
  await product.startOn('host-1');
  await until('both containers run', (rows) => rows.every(({ state }) => state === 'running'));
  expect((await containers()).map(({ host, restarts }) => `${host} ${restarts}`).toSorted()).toEqual([
    'host-1 1',
    'host-2 0',
  ]);
});
