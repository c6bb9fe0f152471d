/** What a hostile container gets from its own start, and from commands that the host runs in it. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EscapeBench } from './testing/escape-bench.js';

const MiB = 1024 ** 2;
/** Working directories that were descriptors of the runtime, at some version of it. */
const DESCRIPTORS = Array.from({ length: 14 }, (_, index) => index + 3);
/** Ids that some runtime has taken for another one, 4294967295 among them: it means "no change" to the kernel. */
const STRANGE_IDS = [-1, 0.5, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.NaN];

let bench: EscapeBench;
let before: unknown;

beforeAll(async () => {
  bench = await EscapeBench.open();
  before = bench.hostState();
});

afterAll(() => bench.close());

const data = (name: string): string => join(bench.scratch, 'data/shop', name);

async function appears(path: string): Promise<void> {
  while (!existsSync(path)) await delay(5);
}

describe.each(['own', 'host'] as const)('a hostile container with the %s users', (users) => {
  let id: string;

  beforeAll(async () => {
    id = await bench.started({ users });
  });

  it('gets neither the program, nor a descriptor, nor a directory of what enters it', async () => {
    writeFileSync(data('self'), '#!/proc/self/exe\n', { mode: 0o755 });
    expect(await bench.run(id, ['mkfifo', '-m', '666', '/data/never-opens'])).toBe('0');
    const watching = bench.inside(id, 'watcher');
    await appears(data('ready'));
    for (const argv of [['true'], ['/data/self'], ['/proc/self/exe', '--version'], ['true']]) await bench.run(id, argv);
    const check = bench.runtime.repeatedCommand(id, ['true']);
    expect(await check.run(60_000, AbortSignal.timeout(60_000))).toMatchObject({ ok: true, exitCode: 0 });
    // A library that is a pipe which nobody opens keeps the runtime's own program in the container.
    const end = new AbortController();
    const stuck = bench.run(id, ['/proc/self/exe'], { env: { LD_PRELOAD: '/data/never-opens' }, signal: end.signal });
    await appears(data('held'));
    end.abort();
    await stuck;
    writeFileSync(data('stop'), '');
    const found = await watching;
    for (const name of ['ready', 'stop', 'held', 'self', 'never-opens']) rmSync(data(name));
    // It had the runtime's program, which shows as the root of a mount that is nowhere; so it could have failed.
    expect(found['held programs']?.split(' ')).toContain('/');
    expect(found).toMatchObject({ overwrote: '', "read the host's file by": '' });
    const descriptors = found['descriptors']
      ?.split(' ')
      .filter((link) => !/^(?:pipe|socket):|^\/dev\/null$/.test(link));
    expect(descriptors).toEqual([]);
    expect(bench.hostState()).toEqual(before);
  });

  it('has three open files in its first process and in a command', async () => {
    // The fourth is of the directory that is being read.
    expect(await bench.run(id, ['sh', '-c', 'ls /proc/1/fd; ls /proc/self/fd'])).toBe('0\n1\n2\n0\n1\n2\n3\n0');
  });

  it('has no inheritable or ambient capabilities, and no groups', async () => {
    for (const user of [0, 1000]) {
      const argv = ['grep', '-hE', '^(CapInh|CapAmb|Groups)', '/proc/self/status', '/proc/1/status'];
      const found = await bench.run(id, argv, { user: { uid: user, gid: user } });
      expect(found.replace(/[ \t]+$/gm, '')).toBe(
        'Groups:\nCapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n'.repeat(2) + '0',
      );
    }
  });

  it('has no working directory outside, for a command or its first process', async () => {
    const probe = 'attempt "outside", sub { open my $file, "<", "../" x 40 . substr $ENV{CANARY}, 1 };';
    for (const descriptor of DESCRIPTORS) {
      const cwd = `/proc/self/fd/${descriptor}`;
      const found = await bench.inside(id, probe, { cwd }).catch((error: Error) => error.message);
      expect([cwd, found]).toEqual([cwd, expect.stringMatching(/chdir|cwd/)]);
    }
    for (const descriptor of DESCRIPTORS.slice(0, 6)) {
      const spec = bench.specOf({ users, workingDirectory: `/proc/self/fd/${descriptor}` });
      expect(await bench.runtime.start(spec)).toMatchObject({ ok: false });
    }
    expect(bench.hostState()).toEqual(before);
  });

  it.each(STRANGE_IDS)('has no process with the id %d', async (strange) => {
    for (const user of [
      { uid: strange, gid: 1000 },
      { uid: 1000, gid: strange },
    ]) {
      await expect(bench.runtime.exec(id, ['id'], { user })).rejects.toThrow(RangeError);
      await expect(bench.runtime.start(bench.specOf({ users, user }))).rejects.toThrow(RangeError);
    }
  });

  it("does not fill the memory or the descriptors of its host's agent by what it prints", async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    await bench.run(id, ['true']);
    const [files, bytes] = [open(), process.memoryUsage.rss()];
    let printed = 0;
    const onStdout = (chunk: Buffer): void => void (printed += chunk.length);
    await bench.runtime.exec(id, ['head', '-c', String(256 * MiB), '/dev/zero'], { onStdout });
    expect(printed).toBe(256 * MiB);
    expect(process.memoryUsage.rss() - bytes).toBeLessThan(128 * MiB);
    for (let round = 0; round < 20; round += 1) {
      const end = new AbortController();
      const running = bench.runtime.exec(id, ['cat', '/dev/zero'], { onStdout: () => end.abort(), signal: end.signal });
      expect(await running).toMatchObject({ reason: 'aborted' });
    }
    expect(open()).toBeLessThanOrEqual(files);
    expect(await bench.run(id, ['sh', '-c', 'cat /proc/[0-9]*/comm | grep -c "^cat$"'])).toMatch(/^1\n0$/);
  });

  it('reaches its limit of processes, and others do not', async () => {
    const other = await bench.started({ users, dataPath: undefined });
    const bomb =
      'my $n = 0; while (defined(my $pid = fork)) { sleep 600 if !$pid; $n++ } kill 9, -getpgrp if print "$n\\n"';
    // Commands of the tests before it may still count.
    expect(await bench.run(id, ['perl', '-e', `$| = 1; setpgrp; ${bomb}`])).toMatch(/^(?:[2-5]\d|6[0-3])\n137$/);
    expect(await bench.run(other, ['sh', '-c', 'true & wait && echo fine'])).toBe('fine\n0');
    await bench.runtime.delete(other);
  });
});

it('a user of the host, or one with ids of a container, opens no file of the runtime', async () => {
  const id = await bench.started();
  const first = Number((await bench.run(id, ['cat', '/proc/self/uid_map'])).split(/\s+/)[2]);
  const { paths } = bench.runtime;
  const readable = (uid: number): string => {
    const argv = [...Object.values(paths as unknown as Record<string, string>), '-type', 'f', '-readable'];
    return spawnSync('find', argv, { uid, gid: uid, encoding: 'utf8', cwd: '/' }).stdout;
  };
  // The directories above are more open on a host than a test's are.
  spawnSync('chmod', ['755', bench.scratch, join(bench.scratch, 'state')]);
  expect(readable(0)).toContain('config.json');
  for (const uid of [65_534, 1000, first, first + 1000]) expect(readable(uid)).toBe('');
});

describe("what the watcher gets from a program of the host's root outside of a container", () => {
  it('is the program, which it overwrites, and the files of the host', () => {
    const victim = join(bench.scratch, 'victim');
    const outside = join(bench.scratch, 'outside');
    copyFileSync('/bin/sleep', victim);
    mkdirSync(outside);
    const shell = `( "$VICTIM" 600 & victim=$!; while [ ! -e "$DATA/held" ]; do sleep 0.01; done; kill $victim; touch "$DATA/stop" ) <&- >&- & exec perl -`;
    const found = bench.outside('watcher', { VICTIM: victim, DATA: outside }, shell);
    expect(found).toMatchObject({ overwrote: victim, "read the host's file by": expect.stringContaining('root') });
    expect(readFileSync(victim).subarray(0, 4).toString()).toBe('XELF');
  });
});
