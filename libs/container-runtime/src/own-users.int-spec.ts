/** Containers with users of their own, on the real thing. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { VERSION_FILES, type MountPlan } from '@plinth/contracts';
import { debianRootfs, RUN_VARIABLE } from '@plinth/testkit';
import { cgroupProcesses } from './kernel/cgroups.js';
import { enterPrivateMountNamespace } from './kernel/private-mount-namespace.js';
import { OciRuntime } from './oci-runtime.js';
import { findExecutable } from './run/runtime-binary.js';
import type { ContainerSpec } from './spec/container-spec.js';
import { requiredDirectories } from './spec/mount-plan.js';
import { generateMountScript } from './spec/mount-script.js';

const MiB = 1024 ** 2;
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 5 * MiB, inodes: 4096, content: 'overlay', mode: 0o755 },
    { path: '/var', bytes: 50 * MiB, inodes: 8192, content: 'overlay', mode: 0o755 },
    { path: '/tmp', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o1777 },
    { path: '/run', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o755 },
    { path: '/root', bytes: 5 * MiB, inodes: 1024, content: 'copy', mode: 0o700 },
  ],
};

let scratch: string;
let image: string;
let runtime: OciRuntime;

beforeAll(async () => {
  const rootfs = await debianRootfs();
  await enterPrivateMountNamespace({ reexecute: false });
  // Mode 0700: no container may need to walk to it.
  scratch = mkdtempSync(join(dirname(rootfs), `own-users-${process.env[RUN_VARIABLE] ?? ''}-`));
  image = join(scratch, 'image', VERSION_FILES.root);
  mkdirSync(dirname(image));
  expect(spawnSync('cp', ['-al', rootfs, image]).status).toBe(0);
  for (const { path, mode } of requiredDirectories(PLAN)) mkdirSync(join(image, path), { recursive: true, mode });
  writeFileSync(join(dirname(image), VERSION_FILES.mountScript), generateMountScript(PLAN));
  mkdirSync(join(scratch, 'data/shop'), { recursive: true });
  mkdirSync(join(scratch, 'sw'));
  writeFileSync(join(scratch, 'sw/tool'), 'tool');
  const path = findExecutable('crun', process.env['PATH'] ?? '');
  if (path === undefined) throw new Error('crun is not installed');
  runtime = new OciRuntime({
    stateDirectory: join(scratch, 'state'),
    binary: { name: 'crun', path, reason: 'under test' },
  });
});

afterEach(async () => {
  for (const { id } of runtime.list()) await runtime.delete(id);
});

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

function specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: randomBytes(16).toString('hex'),
    imageRoot: image,
    mountPlan: PLAN,
    mountScript: { path: join(dirname(image), VERSION_FILES.mountScript), custom: false },
    environment: {},
    timezone: 'UTC',
    hostname: 'shop-1',
    command: ['sleep', 'infinity'],
    softwarePath: join(scratch, 'sw'),
    dataPath: join(scratch, 'data/shop'),
    limits: { memoryBytes: 128 * MiB, pids: 64, cpus: 1 },
    users: 'own',
    network: 'isolated',
    stopSignal: 'SIGTERM',
    ...change,
  };
}

async function started(change: Partial<ContainerSpec> = {}): Promise<string> {
  const spec = specOf(change);
  expect(await runtime.start(spec)).toMatchObject({ ok: true });
  return spec.id;
}

async function sh(id: string, script: string, user?: { uid: number; gid: number }): Promise<string> {
  let output = '';
  const onOutput = (chunk: Buffer): void => void (output += chunk.toString());
  const result = await runtime.exec(id, ['sh', '-c', script], { onStdout: onOutput, onStderr: onOutput, user });
  expect(result).toMatchObject({ ok: true });
  return `${output}${result.ok ? result.exitCode : ''}`;
}

describe('x', () => {
  it('works', async () => {
    const id = await started();
    console.log(await sh(id, 'cat /proc/self/uid_map; id; ls -ln / /sw /data; cat /etc/hosts /etc/resolv.conf; ls /sys | head -3; cat /proc/self/mountinfo; rm -r /etc/apt; touch /data/x; ls -ln /data; cat /proc/sys/net/ipv4/ping_group_range; getent hosts localhost; getent hosts shop-1; ls -ln /etc | head; grep -h Cap /proc/self/status'));
    console.log(spawnSync('ls', ['-ln', join(scratch, 'data/shop')]).stdout.toString());
    console.log(spawnSync('find', ['/run/plinth', '-ls']).stdout.toString());
    console.log(spawnSync('ps', ['-eo', 'user,pid,args']).stdout.toString().split('\n').filter((l)=>l.includes('sleep')).join('\n'));
    void [existsSync, readdirSync, readFileSync, statSync, cgroupProcesses];
  });
});
