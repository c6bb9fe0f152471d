import { existsSync } from 'node:fs';
import { isAlive, signalProcess } from '@plinth/local-servers';
import { connect } from 'nats';
import pg from 'pg';
import { startNats, startPostgres } from './test-servers.js';

it('keeps what nats-server stored when it is killed', async () => {
  const server = await startNats();
  try {
    const before = await connect({ servers: server.url, reconnect: false });
    await (await before.jetstreamManager()).streams.add({ name: 'S', subjects: ['s.>'] });
    await before.jetstream().publish('s.one');
    await before.close();
    signalProcess(server.identity, 'SIGKILL');
    await server.start();
    const after = await connect({ servers: server.url });
    expect((await (await after.jetstreamManager()).streams.info('S')).state.messages).toBe(1);
    await after.close();
  } finally {
    await server.stop();
  }
  expect(isAlive(server.identity)).toBe(false);
});

it('recovers PostgreSQL after a kill, and leaves nothing', async () => {
  const server = await startPostgres();
  let directory = '';
  try {
    const query = async (text: string): Promise<Record<string, unknown>[]> => {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(text)).rows;
      } finally {
        await client.end();
      }
    };
    await query('CREATE TABLE t AS SELECT 7 AS n');
    directory = String((await query('SHOW data_directory'))[0]?.data_directory);
    signalProcess(server.identity, 'SIGKILL');
    await server.start();
    expect(await query('SELECT n FROM t')).toEqual([{ n: 7 }]);
  } finally {
    await server.stop();
  }
  expect(isAlive(server.identity)).toBe(false);
  expect(existsSync(directory)).toBe(false);
});

it('gives each PostgreSQL data of its own, also on a copy of the same template', async () => {
  const [one, other] = [await startPostgres(), await startPostgres()];
  try {
    const query = async (url: string, text: string): Promise<unknown[]> => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return (await client.query(text)).rows as unknown[];
      } finally {
        await client.end();
      }
    };
    await query(one.url, 'CREATE TABLE mine AS SELECT 7 AS n');
    expect(await query(other.url, "SELECT to_regclass('mine') AS found")).toEqual([{ found: null }]);
    await expect(query(other.url.replace(/:[0-9a-f]+@/, ':wrong@'), 'SELECT 1')).rejects.toThrow('password');
  } finally {
    await other.stop();
    await one.stop();
  }
});
