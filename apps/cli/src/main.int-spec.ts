/** The tool as a process: how it ends when its reader closes the pipe or a person interrupts it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import { ensureStreams, EventPublisher } from '@plinth/service-kit';
import { scratchDirectory, startNats, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import { COMMANDS } from './commands/index.js';

const REPOSITORY = join(import.meta.dirname, '../../..');
const TOOL = join(REPOSITORY, 'apps/cli/dist/main.js');

let server: TestServer;
let bus: NatsConnection;
let publisher: EventPublisher;

beforeAll(async () => {
  server = await startNats();
  bus = await connect({ servers: server.url });
  await ensureStreams(bus);
  publisher = new EventPublisher(bus, 'test');
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

function plinth(...args: string[]): {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
} {
  const child = spawn(process.execPath, [TOOL, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NATS_URL: server.url },
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stderr,
  }));
  return { child, ended };
}

const publishFact = (): Promise<unknown> => publisher.publishUnchecked(SUBJECTS.containerStarted, { name: 'shop-1' });

describe('plinth', () => {
  it('loads each of its commands alone', async () => {
    for (const name of Object.keys(COMMANDS)) {
      const { child, ended } = plinth(name, '--help');
      child.stdout?.resume();
      expect({ name, ...(await ended) }).toEqual({ name, code: 0, signal: null, stderr: '' });
    }
  });

  it('ends silently when its output is closed', async () => {
    const { child, ended } = plinth('--help');
    child.stdout?.destroy();
    expect(await ended).toEqual({ code: 141, signal: null, stderr: '' });
  });

  it('stops following events when the reader closes the pipe', async () => {
    await publishFact();
    const { child, ended } = plinth('events', '-f');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    child.stdout?.destroy();
    await publishFact();
    expect(await ended).toEqual({ code: 141, signal: null, stderr: '' });
  });

  it('ends silently on Ctrl-C', async () => {
    await publishFact();
    const { child, ended } = plinth('events', '-f');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 0, signal: null, stderr: '' });
  });

  it.each([
    ['ps', '--tenant', 'Bad!'],
    ['inspect', '--tenant', 'Bad!', 'shop-1'],
    ['run', '--name', 'Bad!'],
  ])('reports what a name may be: %s %s', async (...args) => {
    const { code, stderr } = await plinth(...args).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^error: .*'Bad!' is invalid\. a name has 1 to 63 lower-case letters, digits and inner hyphens\n$/,
    );
  });

  it.each([
    [['--publish', '80-90'], /'80-90' is invalid\. ranges of ports are not published: repeat --publish for each port/],
    [['--publish', '70000:80'], /'70000:80' is invalid\. .*ports are numbers of 1 to 65535/],
    [['--egress', '10.0.0.1/8'], /'10\.0\.0\.1\/8' is invalid\. egress is allow, none, or a network/],
    [['--egress', 'none', '--egress', '10.0.0.0/8'], /allow and none stand alone/],
    [['--network', 'isolated', '--publish', '80'], /--publish needs --network container, or none, not isolated/],
    [['--network', 'host', '--egress', 'none'], /--egress needs --network container, or none, not host/],
    [['--network', 'bridge'], /Allowed choices are container, isolated, host/],
  ])('sends nothing for a network that it can not read: run %j', async (args, message) => {
    const { code, stderr } = await plinth('run', ...args).ended;
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('starts nothing with a network of containers that the machine has a use for', () => {
    const home = join(tmpdir(), `plinth-up-${process.pid}`);
    const up = `ip link set lo up; ip route add 10.80.0.0/12 dev lo; exec ${process.execPath} ${TOOL} up --detach`;
    const ran = spawnSync('unshare', ['--net', 'sh', '-c', up], {
      encoding: 'utf8',
      env: { ...process.env, PLINTH_HOME: home, NATS_URL: '', DATABASE_URL: '', PLINTH_ADDRESS_POOL: '10.81.0.0/16' },
    });
    expect(ran).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /nothing was started: PLINTH_ADDRESS_POOL: 10\.81\.0\.0\/16.* to 10\.80\.0\.0\/12; set/,
      ),
    });
    expect(existsSync(home)).toBe(false);
  });

  it('starts nothing with a network of CNI that is not there', () => {
    const home = join(tmpdir(), `plinth-up-${process.pid}`);
    const ran = spawnSync(process.execPath, [TOOL, 'up', '--detach', '--cni', '/nowhere.conflist'], {
      encoding: 'utf8',
      env: { ...process.env, PLINTH_HOME: home, NATS_URL: '', DATABASE_URL: '' },
    });
    expect(ran.stderr).toMatch(/nothing was started: \/nowhere.conflist can't be read/);
    expect({ status: ran.status, isMade: existsSync(home) }).toEqual({ status: 1, isMade: false });
  });

  it('lists users of the bus and trusted keys in every form of a list', () => {
    const scratch = scratchDirectory();
    try {
      const run = (...words: string[]): string =>
        execFileSync(process.execPath, [TOOL, ...words], { encoding: 'utf8' });
      const access = join(scratch.path, 'access');
      run('access', 'init', '--out', access, '--host', 'h-1');
      const users = ['access', 'ls', '--dir', access];
      expect(run(...users)).toMatch(/^USER +PUBLIC KEYS +KEY FILE\n(?:\S+ +U\w{55} +\/\S+\.nk\n){5}$/);
      expect(run(...users, '-o', 'name', '--sort', 'user')).toBe(
        'host-h-1\nimage-builder\noperator\nprovisioner\nupstream\n',
      );
      expect(JSON.parse(run(...users, '--json', '--sort', 'user'))[0]).toEqual({
        user: 'host-h-1',
        publicKeys: [expect.stringMatching(/^U\w{55}$/)],
        seedFile: expect.stringContaining(access),
      });
      run('keys', 'init', '--out', scratch.path);
      const trusted = join(scratch.path, 'trusted');
      const keyId = run('keys', 'ls', trusted, '-o', 'name').trim();
      expect(keyId).toMatch(/^[0-9a-f]{16}$/);
      const file = join(trusted, `${keyId}.pem`);
      expect(JSON.parse(run('keys', 'ls', trusted, '-o', 'json'))).toEqual([{ keyId, file }]);
    } finally {
      scratch.stop();
    }
  });
});
