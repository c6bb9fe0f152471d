/** Real nats-server and PostgreSQL on free ports, ended with the test. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

const POSTGRES_VERSIONS = '/usr/lib/postgresql';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function startNats(store: string): Promise<Server> {
  const port = await freePort();
  const child = spawn('nats-server', ['-js', '-sd', store, '-a', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await said(child, 'Server is ready');
  return { url: `nats://127.0.0.1:${port}`, stop: () => ended(child, 'SIGTERM') };
}

export async function startPostgres(directory: string): Promise<Server> {
  const port = await freePort();
  const newest =
    readdirSync(POSTGRES_VERSIONS)
      .sort((a, b) => Number(a) - Number(b))
      .at(-1) ?? '';
  const bin = join(POSTGRES_VERSIONS, newest, 'bin');
  mkdirSync(directory, { mode: 0o700 });
  const [uid, gid] = idsOf('postgres');
  chownSync(directory, uid, gid);
  const as = { uid, gid };
  execFileSync(join(bin, 'initdb'), ['-D', directory, '-U', 'postgres', '--auth=trust', '--no-sync'], {
    ...as,
    stdio: 'ignore',
  });
  const child = spawn(
    join(bin, 'postgres'),
    ['-D', directory, '-p', String(port), '-k', directory, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    {
      ...as,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  await said(child, 'ready to accept connections');
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop: () => ended(child, 'SIGINT') };
}

function idsOf(user: string): [uid: number, gid: number] {
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${user}:`))
    ?.split(':');
  return [Number(fields?.[2]), Number(fields?.[3])];
}

function said(child: ChildProcess, words: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-8_192);
      if (text.includes(words)) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}: ${text}`)));
  });
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}
