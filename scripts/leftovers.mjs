/** What is on the machine before and after the tests: processes, mounts, cgroups, folders. Node.js built-ins only. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const PROGRAMS = ['nats-server', 'postgres', 'conmon', 'crun', 'runc', 'mmdebstrap'];

/** @returns a map from an identity to a description for people */
export function takeInventory(root) {
  return new Map([...processes(root), ...mounts(), ...cgroups()]);
}

/** What is in the second inventory only. */
export function newSince(before, after) {
  return [...after].filter(([key]) => !before.has(key)).map(([, description]) => description);
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function link(path) {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Servers, runtimes and anything started from this checkout; not this process and its ancestors. */
function processes(root) {
  const found = [];
  const ancestors = new Set();
  for (let pid = process.pid; pid > 0; pid = Number(/^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)) ancestors.add(pid);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && !ancestors.has(Number(name)))) {
    const words = read(`/proc/${pid}/cmdline`).split('\0').filter(Boolean);
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (words.length === 0 || fields[0] === 'Z') continue;
    const program = words[0].split('/').at(-1);
    const ours = PROGRAMS.includes(program) || words.some((word) => word.startsWith(`${root}/`)) || /\/plinth\//.test(read(`/proc/${pid}/cgroup`)) || PROGRAMS.includes(link(`/proc/${pid}/exe`).split('/').at(-1));
    if (ours) found.push([`process ${pid} ${fields[19]}`, `process ${pid}: ${words.join(' ').slice(0, 160)}`]);
  }
  return found;
}

function mounts() {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter(Boolean)
    .map((line) => [`mount ${line.split(' ')[4]}`, `mount ${line.split(' ')[4]}`]);
}

function cgroups() {
  const root = '/sys/fs/cgroup';
  if (!existsSync(root)) return [];
  const hierarchies = existsSync(join(root, 'cgroup.controllers')) ? [root] : readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
  return hierarchies
    .map((hierarchy) => join(hierarchy, 'plinth'))
    .filter((group) => existsSync(group))
    .flatMap((group) => readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => [`cgroup ${join(group, entry.name)}`, `cgroup ${join(group, entry.name)}`]));
}
