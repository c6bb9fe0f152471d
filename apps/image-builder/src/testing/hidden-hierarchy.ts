/**
 * A process of its own in which the second cgroup hierarchy is hidden, as in the service: makes a build's cgroups,
 * removes them, and prints what is left as JSON.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';
import { buildCgroup, removeBuildCgroups } from '../adapters/tools/build-cgroups.js';

const ROOT = '/sys/fs/cgroup';
const TMPFS_MAGIC = 0x0102_1994;

await enterPrivateMountNamespace();
const id = randomBytes(16).toString('hex');
const hierarchies = existsSync(join(ROOT, 'cgroup.controllers'))
  ? [ROOT]
  : readdirSync(ROOT).map((name) => join(ROOT, name));
const directories = hierarchies.map((hierarchy) => hierarchy + buildCgroup(id));
for (const directory of directories) {
  mkdirSync(directory);
  // There the runtime's cgroup is a directory with plain files.
  if (statfsSync(directory).type === TMPFS_MAGIC) writeFileSync(join(directory, 'cgroup.procs'), '1');
}
await removeBuildCgroups(id);
process.stdout.write(JSON.stringify(directories.filter((directory) => existsSync(directory))));
