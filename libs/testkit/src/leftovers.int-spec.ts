/** The search for leftovers, on leftovers that are left on purpose. Needs root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { cgroupHierarchies } from '@plinth/local-servers';
import { findRunLeftovers, readMachineState, type MachineState, RUN_VARIABLE } from './leftovers.js';
import { type ScratchDirectory, scratchDirectory } from './scratch-directory.js';

const run = randomBytes(8).toString('hex');
const undo: (() => unknown)[] = [];
let scratch: ScratchDirectory;
let before: MachineState;

beforeAll(() => {
  scratch = scratchDirectory(`plinth-run-${run}-`);
  before = readMachineState([]);
});
afterAll(async () => {
  for (const step of undo.reverse()) await step();
  scratch.stop();
});

const left = (): string[] => findRunLeftovers(run, before, readMachineState([scratch.path]), process.pid);

/** A process that does nothing until it is ended at the end. */
async function started(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { env: { PATH: process.env['PATH'], ...env }, stdio: 'ignore' });
  await once(child, 'spawn');
  undo.push(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

/** A cgroup in the first hierarchy that lets one be made. */
function cgroup(name: string): string {
  for (const hierarchy of cgroupHierarchies()) {
    const path = join(hierarchy, 'plinth', name);
    try {
      mkdirSync(path, { recursive: true });
      undo.push(() => rmdirSync(path));
      return path;
    } catch (error) {
      // This hierarchy is mounted read-only.
      if (!['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  throw new Error('no cgroup can be made');
}

it('finds nothing when nothing is left', async () => {
  // Tests beside this one make and remove cgroups, which belong to no process for a moment.
  await soon(() => left().length === 0);
  expect(left().filter((line) => !line.startsWith('cgroup'))).toEqual([]);
});

it('finds a process by its environment, and one by its directory', async () => {
  const one = await started(['sleep', 'infinity'], { [RUN_VARIABLE]: run });
  const other = await started(['sh', '-c', `cd ${scratch.path}; exec sleep 1000000`], {});
  expect(left()).toContain(`process ${one.pid}: sleep infinity`);
  await expectSoon(`process ${other.pid}: sleep 1000000`);
});

it('finds what stands on a root of the run, as a container does, with its cgroup', async () => {
  const group = cgroup(`${randomBytes(16).toString('hex')}.test`);
  const root = join(scratch.path, 'root');
  mkdirSync(root);
  const enter = `mount --bind / ${root} && cd ${root} && echo 0 > ${group}/cgroup.procs && exec chroot . /usr/bin/env -i /bin/sleep infinity`;
  const container = await started(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', enter], {});
  await expectSoon(`process ${container.pid}: /bin/sleep infinity`);
  expect(left()).toContain(`cgroup ${group} (${container.pid})`);
});

it('reads past a threaded group, whose processes the kernel lists above it', async () => {
  const hierarchy = cgroupHierarchies().find((path) => existsSync(join(path, 'cgroup.controllers')));
  if (hierarchy === undefined) throw new Error('no hierarchy of version 2 is mounted');
  const group = join(hierarchy, 'plinth', `${randomBytes(16).toString('hex')}.test`);
  const threaded = join(group, 'threaded');
  mkdirSync(threaded, { recursive: true });
  undo.push(() => [threaded, group].forEach((path) => rmdirSync(path)));
  writeFileSync(join(threaded, 'cgroup.type'), 'threaded');
  const member = await started(['sleep', 'infinity'], { [RUN_VARIABLE]: run });
  writeFileSync(join(group, 'cgroup.procs'), String(member.pid));
  expect(left()).toContain(`cgroup ${group} (${member.pid})`);
});

it('finds a mount and a file, and not what another run has', async () => {
  const place = join(scratch.path, 'place');
  mkdirSync(place);
  execFileSync('mount', ['-t', 'tmpfs', 'plinth-test', place]);
  undo.push(() => execFileSync('umount', [place]));
  writeFileSync(join(scratch.path, 'kept'), '');
  const another = cgroup(`${randomBytes(16).toString('hex')}.another`);
  const foreign = await started(['sleep', 'infinity'], { [RUN_VARIABLE]: 'another' });
  writeFileSync(join(another, 'cgroup.procs'), String(foreign.pid));
  const lines = left();
  expect(lines).toEqual(expect.arrayContaining([`mount ${place}`, `file ${join(scratch.path, 'kept')}`]));
  expect(lines.filter((line) => line.includes(another) || line.includes(` ${foreign.pid}`))).toEqual([]);
});

it('finds the directory of an agent that is new and empty', () => {
  const instance = join('/run/plinth', randomBytes(6).toString('hex'));
  mkdirSync(instance, { recursive: true });
  undo.push(() => rmdirSync(instance));
  const now = readMachineState([]);
  expect(findRunLeftovers(run, before, { ...now, processes: [] }, process.pid)).toContain(`runtime state ${instance}`);
});

it('finds an empty cgroup that is new, unless another run is on the machine', () => {
  const group = cgroup(`${randomBytes(16).toString('hex')}.gone`);
  const now = readMachineState([]);
  const seen = (processes: MachineState['processes']): string[] =>
    findRunLeftovers(run, before, { ...now, processes }, process.pid);
  expect(seen([])).toContain(`cgroup ${group}`);
  const jest = { pid: 1, parent: 0, command: 'jest', traces: [`${RUN_VARIABLE}=another`] };
  expect(seen([jest])).not.toContain(`cgroup ${group}`);
});

/** A process becomes what it executes a moment after it was started. */
async function expectSoon(line: string): Promise<void> {
  await soon(() => left().includes(line));
  expect(left()).toContain(line);
}

async function soon(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end && !holds();)
    await new Promise((resolve) => setTimeout(resolve, 20));
}
