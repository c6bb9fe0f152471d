/** Needs root: it makes cgroups and moves a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cgroupHierarchies } from './cgroup-tree.js';
import { monitorGroup } from './outliving-group.js';

const STARTER = `/plinth-starter.spec-${process.pid}`;
const group = monitorGroup(`spec-${process.pid}`);
const hierarchies = cgroupHierarchies();
/** Where processes without processors and memory are not taken. */
const CPUSET = ['cpuset.cpus', 'cpuset.mems'];
let child: ChildProcess;
let ended: Promise<unknown>;

const groupsOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(':').slice(2).join(':'));
const pidOf = (): number => child.pid ?? 0;
const here = (path: string): string[] => hierarchies.filter((root) => existsSync(root + path));

beforeEach(async () => {
  child = spawn('sleep', ['600'], { stdio: 'ignore' });
  ended = once(child, 'exit');
  await once(child, 'spawn');
});

afterEach(async () => {
  child.kill('SIGKILL');
  await ended;
  group.remove();
  for (const root of here(STARTER)) rmdirSync(root + STARTER);
});

describe('the group of what outlives its starter', () => {
  it('takes a process out of its starter’s group in every hierarchy, and stays until it has ended', async () => {
    for (const root of hierarchies) {
      const starter = root + STARTER;
      mkdirSync(starter);
      for (const file of CPUSET)
        if (existsSync(`${root}/${file}`)) writeFileSync(`${starter}/${file}`, readFileSync(`${root}/${file}`));
      writeFileSync(`${starter}/cgroup.procs`, String(pidOf()));
    }
    expect(groupsOf(pidOf())).toContain(STARTER);
    await Promise.all([group.take(pidOf()), group.take(pidOf())]);
    expect(new Set(groupsOf(pidOf()))).toEqual(new Set([group.path]));
    group.remove();
    expect(here(group.path)).toEqual(hierarchies);
    child.kill('SIGKILL');
    await ended;
    group.remove();
    expect(here(group.path)).toEqual([]);
  });

  it('leaves a process alone that is in the root, or has ended', async () => {
    for (const root of hierarchies) writeFileSync(`${root}/cgroup.procs`, String(pidOf()));
    await group.take(pidOf());
    expect(new Set(groupsOf(pidOf()))).toEqual(new Set(['/']));
    child.kill('SIGKILL');
    await ended;
    await group.take(pidOf());
    expect(here(group.path)).toEqual([]);
  });
});
