/** On this machine's cgroups, with the second hierarchy hidden as the services hide it. Needs root. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';
import { buildCgroup, removeBuildCgroups } from './build-cgroups.js';

const ROOT = '/sys/fs/cgroup';
const TMPFS_MAGIC = 0x0102_1994;

it('removes a build from every hierarchy, the hidden one included', async () => {
  await enterPrivateMountNamespace({ reexecute: false });
  const id = randomBytes(16).toString('hex');
  const hierarchies = existsSync(join(ROOT, 'cgroup.controllers')) ? [ROOT] : readdirSync(ROOT).map((name) => join(ROOT, name));
  const directories = hierarchies.map((hierarchy) => hierarchy + buildCgroup(id));
  for (const directory of directories) {
    mkdirSync(directory);
    if (statfsSync(directory).type === TMPFS_MAGIC) writeFileSync(join(directory, 'cgroup.procs'), '1');
  }
  await removeBuildCgroups(id);
  expect(directories.filter((directory) => existsSync(directory))).toEqual([]);
});
