/** A pair of real PostgreSQL servers, one streaming to the other: writes follow a promotion by hand. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { endProcess, freePort, type ProcessIdentity, startPostgresServer } from '@plinth/local-servers';
import { givePostgresData, scratchDirectory } from '@plinth/testkit';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { createLogger } from '../logging.js';
import { openDatabase } from './database.js';
import { findPrimary, primaryClient } from './primary-client.js';

const scratch = scratchDirectory();
execFileSync('chmod', ['711', scratch.path]);
const [first, second] = ['first', 'second'].map((name) => join(scratch.path, name)) as [string, string];
interface Running {
  readonly identity: ProcessIdentity;
  readonly url: string;
}
let primary: Running;
let standby: Running;
/** Takes connections and never answers, as a server that stands still. */
let mute: Server;
const held = new Set<Socket>();
let source: DataSource;
/** All of them, the one that does not answer first. */
let servers: string[];

beforeAll(async () => {
  await givePostgresData(first);
  const port = await freePort();
  const begun = await startPostgresServer({ directory: first, port, life: 'bound' });
  // A copy of data that no server runs on is a base backup.
  await endProcess(begun.identity, 'SIGINT', 30_000);
  execFileSync('cp', ['--archive', first, second]);
  const { password } = new URL(begun.url);
  writeFileSync(join(second, 'data/standby.signal'), '');
  appendFileSync(
    join(second, 'data/postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres password=${password} application_name=second'\n`,
  );
  appendFileSync(join(first, 'data/postgresql.auto.conf'), "synchronous_standby_names = 'second'\n");
  [primary, standby] = await Promise.all([
    startPostgresServer({ directory: first, port, life: 'bound' }),
    freePort().then((own) => startPostgresServer({ directory: second, port: own, life: 'bound' })),
  ]);
  mute = createServer((socket) => void held.add(socket.on('error', () => undefined)));
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const muteUrl = new URL(primary.url);
  muteUrl.port = String((mute.address() as AddressInfo).port);
  servers = [muteUrl.href, standby.url, primary.url];
  const [head, tail] = primary.url.split(/127\.0\.0\.1:\d+/);
  const url = `${head}${servers.map((one) => new URL(one).host).join(',')}${tail}`;
  source = await openDatabase({
    url,
    schema: 'pair_test',
    migrations: [],
    logger: createLogger('pair', 'test', 'fatal'),
  });
});
afterAll(async () => {
  await source?.destroy();
  for (const socket of held) socket.destroy();
  mute?.close();
  for (const server of [primary, standby]) if (server) await endProcess(server.identity, 'SIGKILL', 5_000);
  scratch.stop();
});

const portOf = (url: string): string => new URL(url).port;

it('finds the one that takes writes, passes over one that does not answer, and follows a promotion', async () => {
  const options = { servers, answerMs: 2_000, othersMs: 200 };
  expect(portOf(await findPrimary(options))).toBe(portOf(primary.url));
  await source.query('CREATE TABLE kept (number int)');
  await source.query('INSERT INTO kept VALUES (1)');

  await endProcess(primary.identity, 'SIGKILL', 5_000);
  await expect(source.query('INSERT INTO kept VALUES (2)')).rejects.toBeInstanceOf(Error);
  await expect(findPrimary(options)).rejects.toThrow('none of 3 PostgreSQL servers takes writes: 1 answered');
  const other = new pg.Client({ connectionString: standby.url });
  await other.connect();
  await other.query('SELECT pg_promote(true, 60)');
  await other.end();
  expect(portOf(await findPrimary(options))).toBe(portOf(standby.url));
  await source.query('INSERT INTO kept VALUES (3)');
  expect(await source.query('SELECT number FROM kept ORDER BY 1')).toEqual([{ number: 1 }, { number: 3 }]);
});

it('gives a connection whose query got no answer to nobody else', async () => {
  const pool = new pg.Pool({
    connectionString: standby.url,
    Client: primaryClient({ servers: [standby.url], answerMs: 2_000, othersMs: 200 }),
    max: 1,
    query_timeout: 1_000,
  } as pg.PoolConfig);
  // What the pool reports of a connection that nobody uses any more.
  pool.on('error', () => undefined);
  const pid = async (): Promise<number> =>
    (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
  const before = await pid();
  const client = await pool.connect();
  const removed = once(pool, 'remove');
  await expect(client.query('SELECT pg_sleep(600)')).rejects.toThrow('Query read timeout');
  // Given back as a working one, as TypeORM does.
  client.release();
  await removed;
  expect(await pid()).not.toBe(before);
  await pool.end();
});
