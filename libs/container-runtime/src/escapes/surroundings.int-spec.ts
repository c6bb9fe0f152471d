/** What a container finds around it: files of the kernel, cgroups, sockets, pages that it shares; and its hooks. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cgroupProcesses } from '../kernel/cgroups.js';
import { EscapeBench } from './testing/escape-bench.js';

/** What the host's root can do outside of a container on any machine: the probe of these can fail. */
const OUTSIDE = [
  'write /proc/sys/kernel/core_pattern',
  'write any file of the kernel',
  'write a file of a cgroup',
  'find a release_agent',
  'read /proc/keys',
  "read the host's file by its path",
  "read the host's file by the root of a process",
  "read the host's file from the working directory",
];

let bench: EscapeBench;
let before: unknown;

beforeAll(async () => {
  bench = await EscapeBench.open();
  before = bench.hostState();
});

afterAll(() => bench.close());

describe.each(['own', 'host'] as const)('a container with the %s users', (users) => {
  let id: string;

  beforeAll(async () => {
    id = await bench.started({ users });
  });

  it("writes no file of the kernel, and reads neither its secrets nor the host's files", async () => {
    const found = await bench.inside(id, 'kernel-files');
    expect(Object.entries(found).filter(([, result]) => result === 'succeeded')).toEqual([]);
    expect(Object.keys(found)).toEqual(expect.arrayContaining(OUTSIDE));
    expect(bench.hostState()).toEqual(before);
  });

  it('writes no page of its image by a pipe', async () => {
    const probe = `attempt 'write', sub {
      open my $file, '<', '/bin/dash' or die; pipe my $reader, my $writer or die;
      syswrite $writer, 'x' x 65536; sysread $reader, my $bytes, 65536;
      my $offset = pack 'q', 0;
      syscall(275, fileno $file, $offset, fileno $writer, 0, 1, 0) == 1 or die "splice: $!";
      syswrite $writer, 'X' x 16;
    };`;
    // The write itself is permitted: it must go to a page of the pipe.
    expect(await bench.inside(id, probe)).toEqual({ write: 'succeeded' });
    expect(bench.hostState()).toEqual(before);
  });

  it('reaches no abstract socket of the host, but on the network of the host', async () => {
    const name = `plinth-escape-${randomBytes(8).toString('hex')}`;
    const server = createServer((socket) => socket.end()).listen(`\0${name}`);
    await once(server, 'listening');
    // Some servers fill the whole of the address with zeros.
    const probe = `attempt 'connect', sub {
        for my $address (pack('Sa*', 1, "\\0${name}"), pack('Sa108', 1, "\\0${name}")) {
          socket my $socket, 1, 1, 0 or die; connect $socket, $address and return 1;
        }
        return 0;
      };
      attempt 'see', sub {
        open my $file, '<', '/proc/net/unix' or die; my @found = grep { / \\@/ } <$file>;
        $! = Errno::ENOENT;
        return @found > 0;
      };`;
    expect(await bench.inside(id, probe)).toEqual({ connect: 'ECONNREFUSED', see: 'ENOENT' });
    const onHost = await bench.started({ users, network: 'host' });
    expect(await bench.inside(onHost, probe)).toEqual({ connect: 'succeeded', see: 'succeeded' });
    // None is the runtime's.
    expect(await bench.run(onHost, ['grep', '-c', `@.*${bench.runtime.instance}`, '/proc/net/unix'])).toBe('0\n1');
    await bench.runtime.delete(onHost);
    server.close();
  });

  it("changes nothing in its hook's environment, by its own or by its image", async () => {
    const library = join(bench.image, 'etc/ld.so.preload');
    const script = join(bench.scratch, 'seen.sh');
    const seen = join(bench.scratch, 'data/hook');
    writeFileSync(library, '/data/evil.so\n');
    writeFileSync(script, 'env > $PLINTH_DATA/seen; exit 3');
    mkdirSync(seen, { recursive: true });
    chmodSync(seen, 0o777);
    const environment = {
      LD_PRELOAD: '/data/evil.so',
      LD_LIBRARY_PATH: '/data',
      PLINTH_DATA: '/',
      BASH_ENV: '/data/x',
    };
    const spec = bench.specOf({ users, environment, dataPath: seen, mountScript: { path: script, custom: true } });
    expect(await bench.runtime.start(spec)).toMatchObject({ reason: 'mount-script-failed' });
    const names = readFileSync(join(seen, 'seen'), 'utf8').match(/^\w+(?==)/gm);
    expect(names?.filter((name) => !/^(?:PLINTH_\w+|PATH|LC_ALL|PWD|OLDPWD|SHLVL|_)$/.test(name))).toEqual([]);
    for (const path of [library, script, seen]) rmSync(path, { recursive: true });
  });

  it('changes no setting of the machine by a text of its config', async () => {
    const text = 'x+kernel.core_pattern=|/data/x\nkernel.shm_rmid_forced=1';
    const spec = bench.specOf({
      users,
      environment: { [`A+${text}`]: text, B: text },
      labels: { 'run.oci.handler': 'krun', 'run.oci.hooks.stdout': bench.canary.path, [text]: text },
      command: ['sleep', 'infinity', text],
      timezone: text,
    });
    await bench.runtime.start(spec);
    const config = join(bench.runtime.paths.bundles, spec.id, 'config.json');
    const { annotations = {} } = existsSync(config)
      ? (JSON.parse(readFileSync(config, 'utf8')) as { annotations?: object })
      : {};
    expect(Object.keys(annotations).filter((name) => name !== 'run.oci.seccomp_bpf_data')).toEqual([]);
    await bench.runtime.delete(spec.id);
    expect(bench.hostState()).toEqual(before);
  });
});

describe('an init with users of its own', () => {
  it('stays below its cgroup, and finds no other', async () => {
    const init = join(bench.image, 'sbin/init');
    writeFileSync(init, '#!/bin/sh\nexec sleep infinity\n', { mode: 0o755 });
    const id = await bench.started({ command: ['/sbin/init'] });
    const probe = `
      attempt 'a group of its own', sub { mkdir "$_/below" and return 1 for glob('/sys/fs/cgroup/systemd'), '/sys/fs/cgroup'; 0 };
      attempt 'the group above', sub {
        for my $up ('/sys/fs/cgroup/..', '/sys/fs/cgroup/systemd/..', '/sys/fs/cgroup/systemd/../..') {
          open my $file, '>', "$up/cgroup.procs" or next; syswrite $file, "$$\\n" and return 1;
        }
        return 0;
      };`;
    expect(await bench.inside(id, probe)).toMatchObject({ 'a group of its own': 'succeeded' });
    const files = await bench.inside(id, 'kernel-files');
    const succeeded = Object.keys(files).filter((name) => files[name] === 'succeeded');
    expect(succeeded).toEqual(['write a file of a cgroup']);
    const found = await bench.run(id, ['sh', '-c', 'find /sys/fs/cgroup -name release_agent -o -name "memory.*"']);
    expect(found).toBe('0');
    for (const pid of cgroupProcesses(bench.runtime.cgroupOf(id)))
      expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(bench.runtime.cgroupOf(id));
    await bench.runtime.delete(id);
    rmSync(init);
  });
});

it("the host's root does outside of a container what the containers could not", () => {
  const found = bench.outside('kernel-files');
  expect(OUTSIDE.filter((name) => found[name] !== 'succeeded')).toEqual([]);
  expect(readdirSync(bench.scratch)).toContain('canary');
});
