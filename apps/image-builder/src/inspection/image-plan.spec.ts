import { describe, expect, it } from '@jest/globals';
import { ContainerConfig, type ImageManifest } from '@plinth/contracts';
import { planImage } from './image-plan.js';

const digest = `sha256:${'a'.repeat(64)}` as const;
const manifest = {
  schema: 1,
  name: 'debian-12',
  version: 'v3',
  architecture: 'amd64',
  contentDigest: digest,
  recipeDigest: digest,
  mountPlan: {
    schema: 1,
    places: [
      { path: '/etc', bytes: 5_000_000, inodes: 100, content: 'overlay', mode: 0o755 },
      { path: '/tmp', bytes: 9_000_000, inodes: 200, content: 'empty', mode: 0o1777 },
    ],
  },
  mountScript: { digest, bytes: 1, custom: false },
  environment: { LANG: 'C.UTF-8', GREETING: 'image' },
  timezone: 'UTC',
  command: ['/sbin/init'],
  stopSignal: 'SIGTERM',
  totals: { entries: 1, bytes: 1 },
  entries: [{ path: '.', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0 }],
} as const satisfies ImageManifest;

const config = Object.assign(new ContainerConfig(), {
  containerId: 'c'.repeat(32),
  name: 'shop-1',
  tenant: 'acme',
  host: 'host-1',
  generation: 4,
  runGeneration: 4,
  desired: 'running' as const,
  image: 'other@v9',
  contentDigest: digest,
  storageNode: 'sn-1',
  dataVolume: 'd'.repeat(32),
  software: 'hello/web',
  env: { GREETING: 'mine' },
  timezone: 'Asia/Tokyo',
  command: ['/bin/sleep', '1'],
  limits: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 100 },
  restart: { policy: 'always' as const },
  network: 'isolated' as const,
  stopGraceSeconds: 10,
  requestedAt: '',
  decidedAt: '',
});

describe('the plan of a start', () => {
  it('shows how the process is run: the entry point stays before a command of the container', () => {
    const own = {
      ...manifest,
      schema: 2,
      entrypoint: ['/entry.sh'],
      workingDirectory: '/srv',
      user: { name: 'web', uid: 33, gid: 34, additionalGids: [4] },
      exposedPorts: ['80/tcp'],
    } as const;
    expect(planImage(own, undefined)).toMatchObject({
      command: ['/entry.sh', '/sbin/init'],
      workingDirectory: '/srv',
      user: { name: 'web', uid: 33, gid: 34, additionalGids: [4] },
      exposedPorts: ['80/tcp'],
    });
    expect(planImage(own, config).command).toEqual(['/entry.sh', '/bin/sleep', '1']);
    expect(planImage(manifest, undefined)).toMatchObject({ user: { name: 'root', uid: 0, gid: 0 }, exposedPorts: [] });
  });

  it('has every mount in order, with sizes, and what systemd needs', () => {
    const plan = planImage(manifest, undefined);
    expect(plan).toMatchObject({
      image: 'debian-12@v3',
      container: null,
      mountScript: null,
      root: { path: '/storage/example/images/debian-12/v3/root', readOnly: true },
    });
    expect(plan.mounts.map(({ destination }) => destination)).toEqual([
      '/proc',
      '/dev',
      '/dev/pts',
      '/dev/shm',
      '/dev/mqueue',
      '/sys',
      '/sys/fs/cgroup',
      '/.plinth/etc',
      '/etc',
      '/tmp',
      '/.plinth',
      '/run/lock',
      '/data',
    ]);
    expect(plan.mounts.find(({ destination }) => destination === '/tmp')).toMatchObject({
      type: 'tmpfs',
      bytes: 9_000_000,
    });
    expect(plan.mounts.find(({ destination }) => destination === '/etc')?.bytes).toBeNull();
  });

  it("takes a container's own settings, and its place on this image", () => {
    const plan = planImage(manifest, config);
    expect(plan).toMatchObject({
      container: 'shop-1',
      hostname: 'shop-1',
      timezone: 'Asia/Tokyo',
      command: ['/bin/sleep', '1'],
      stopSignal: 'SIGTERM',
      limits: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 100 },
    });
    expect(plan.environment).toEqual(
      expect.arrayContaining(['GREETING=mine', 'LANG=C.UTF-8', 'PLINTH_IMAGE=debian-12@v3', 'PLINTH_TENANT=acme']),
    );
    expect(plan.mounts.find(({ destination }) => destination === '/sw')).toMatchObject({
      source: '/storage/sn-1/software/hello/web',
      options: expect.arrayContaining(['ro']),
    });
    expect(plan.mounts.find(({ destination }) => destination === '/data')?.source).toBe(
      `/storage/sn-1/volumes/${'d'.repeat(32)}`,
    );
    expect(plan.etc.find(({ path }) => path === '/etc/localtime')?.content).toBe('/usr/share/zoneinfo/Asia/Tokyo');
  });

  it('shows the environment of a custom mount script, and mounts nothing in its place', () => {
    const plan = planImage({ ...manifest, mountScript: { ...manifest.mountScript, custom: true } }, config);
    expect(plan.mounts.map(({ destination }) => destination)).not.toContain('/etc');
    expect(plan.mountScript).toMatchObject({
      argv: ['/bin/sh', '/mount.sh'],
      told: {
        PLINTH_TIMEZONE: 'Asia/Tokyo',
        PLINTH_SW: '/sw',
        PLINTH_LAYER: '/layer',
      },
      deadlineSeconds: 10,
    });
  });
});
