/** Images and volumes that were made to lead a start outside. */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { VERSION_FILES } from '@plinth/contracts';
import { checkBeforeMount, mountPoints } from '../run/premount-checks.js';
import { validateMountPlan } from '../spec/mount-plan.js';
import { EscapeBench, PLAN } from './testing/escape-bench.js';

let bench: EscapeBench;
let before: unknown;
/** A directory of the host in which nothing may appear. */
let trap: string;

beforeAll(async () => {
  bench = await EscapeBench.open();
  trap = join(bench.scratch, 'trap');
  mkdirSync(trap, { mode: 0o777 });
  before = bench.hostState();
});

afterAll(() => bench.close());

const unchanged = (): void => {
  expect(bench.hostState()).toEqual(before);
  expect(readdirSync(trap)).toEqual([]);
};
/** From any directory of the image or of a container. */
const upwards = (path: string): string => `${'../'.repeat(30)}${path.slice(1)}`;

/** Puts something else where a file or directory of the image is, for the time of a function. */
async function exchanged(name: string, put: (path: string) => void, during: () => Promise<void> | void): Promise<void> {
  const path = join(bench.image, name);
  const kept = join(bench.scratch, `kept-${name.replaceAll('/', '-')}`);
  const existed = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  if (existed) renameSync(path, kept);
  try {
    put(path);
    await during();
  } finally {
    rmSync(path, { recursive: true });
    if (existed) renameSync(kept, path);
  }
}

const KINDS: readonly (readonly [string, (path: string) => void])[] = [
  ["a link to the host's directory", (path) => symlinkSync(trap, path)],
  ['a link upwards', (path) => symlinkSync(upwards(trap), path)],
  ['a link to the root of a process', (path) => symlinkSync('/proc/self/root', path)],
  ['a pipe', (path) => void spawnSync('mkfifo', [path])],
  ['a file', (path) => writeFileSync(path, '')],
];

describe('an image', () => {
  it.each(KINDS)('with %s at any mount point is refused before anything is mounted', async (_kind, put) => {
    const script = readFileSync(join(dirname(bench.image), VERSION_FILES.mountScript));
    const inputs = {
      mountScriptDigest: `sha256:${createHash('sha256').update(script).digest('hex')}` as const,
      dataRoot: join(bench.scratch, 'data'),
      softwareRoot: join(bench.scratch, 'sw'),
    };
    expect(checkBeforeMount(bench.specOf(), inputs)).toEqual({ ok: true });
    for (const point of mountPoints(bench.specOf()))
      await exchanged(point, put, () => {
        expect(checkBeforeMount(bench.specOf(), inputs)).toMatchObject({ reason: 'mount-point-not-directory' });
      });
  });

  it.each(['/proc', '/proc/sys', '/sys', '/dev/shm', '/data', '/data/x', '/sw', '/.plinth/x', '/', '/var/../proc'])(
    'asks in vain for a writable %s',
    async (path) => {
      const plan = { ...PLAN, places: [...PLAN.places, { ...PLAN.places[2]!, path }] };
      expect(validateMountPlan(plan)).not.toEqual([]);
      await expect(bench.runtime.start(bench.specOf({ mountPlan: plan }))).rejects.toThrow(RangeError);
      await bench.deleteAll();
      unchanged();
    },
  );

  it.each(['own', 'host'] as const)(
    'with links and pipes for the files of /etc and /dev changes nothing outside, with the %s users',
    async (users) => {
      const { path: canary, secret } = bench.canary;
      const link = (to: string) => (path: string) => symlinkSync(to, path);
      const pipe = (path: string): void => void spawnSync('mkfifo', [path]);
      const files: readonly (readonly [string, (path: string) => void])[] = [
        ['etc/passwd', link(canary)],
        ['etc/group', link(upwards(canary))],
        ['etc/mtab', pipe],
        ['etc/hosts', link(canary)],
        ['etc/hostname', link(upwards(canary))],
        ['etc/resolv.conf', pipe],
        ['etc/localtime', link(upwards(canary))],
        ['etc/timezone', link(canary)],
        ['etc/environment', link(canary)],
        ['etc/profile.d', link(trap)],
        ['dev/null', link(canary)],
        ['dev/console', link(upwards(canary))],
        ['dev/ptmx', link(canary)],
        ['dev/pts', link(trap)],
        ['dev/shm', link(upwards(trap))],
        ['dev/mqueue', link(trap)],
      ];
      const during = async (): Promise<void> => {
        const id = await bench.started({ users });
        const look = 'echo x > /dev/null; stat -c %F /dev/null /dev/shm; cat /etc/passwd /etc/group /dev/console';
        const found = await bench.run(id, ['timeout', '5', 'sh', '-c', look]);
        expect(found).toContain('character special file\ndirectory\n');
        expect(found).not.toContain(secret);
        await bench.runtime.delete(id);
        unchanged();
      };
      const all = files.reduceRight<() => Promise<void>>(
        (inner, [name, put]) =>
          () =>
            exchanged(name, put, inner),
        during,
      );
      await all();
    },
  );
});

it.each(['own', 'host'] as const)(
  'a volume whose directories become links while containers start leads nowhere, with the %s users',
  async (users) => {
    const id = await bench.started({ users });
    // renameat2(2) with RENAME_EXCHANGE, as fast as it goes.
    const program = `mkdir '/data/work'; symlink '${upwards(trap)}', '/data/link'; my ($a, $b) = ('/data/work', '/data/link');
      open my $ready, '>', '/data/ready'; until (-e '/data/stop') { syscall(316, -100, $a, -100, $b, 2) }`;
    const racing = bench.run(id, ['perl', '-e', program]);
    while (!existsSync(join(bench.scratch, 'data/shop/ready'))) await delay(5);
    const ends: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      const spec = bench.specOf({
        users,
        workingDirectory: '/data/work',
        command: ['sh', '-c', 'touch made; sleep 60'],
      });
      const result = await bench.runtime.start(spec);
      ends.push(result.ok ? 'started' : result.reason);
      const here = await bench.run(spec.id, ['pwd', '-P'], { cwd: '/data/work' });
      // The name of the moment, or a refusal: never one outside.
      expect(here).not.toContain(basename(bench.scratch));
      await bench.runtime.delete(spec.id);
    }
    writeFileSync(join(bench.scratch, 'data/shop/stop'), '');
    await racing;
    await bench.runtime.delete(id);
    for (const name of readdirSync(join(bench.scratch, 'data/shop')))
      rmSync(join(bench.scratch, 'data/shop', name), { recursive: true });
    expect(ends).toHaveLength(8);
    unchanged();
  },
);
