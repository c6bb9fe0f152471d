/** Opens a service's own PostgreSQL schema: waits for the server, migrates under a lock. */
import { DataSource, type DataSourceOptions, type EntitySchema, type MigrationInterface } from 'typeorm';
import type { Logger } from '../logging.js';
import { databaseServers } from './database-servers.js';
import {
  AddBusPositions1700000000500,
  AddOutboxBatches1700000000900,
  AddRefusals1700000000700,
  CreateOutboxAndInbox1700000000000,
} from './outbox.migrations.js';
import { primaryClient } from './primary-client.js';

export interface DatabaseOptions {
  /** Of one server, or of several of which one takes writes: {@link databaseServers}. */
  readonly url: string;
  /** PostgreSQL schema, e.g. `provisioner`: no service reads another's tables. */
  readonly schema: string;
  readonly entities?: readonly EntitySchema[];
  readonly migrations: readonly (new () => MigrationInterface)[];
  readonly logger: Logger;
  /** Connections at the most; 10 when absent. */
  readonly poolSize?: number;
}

/** A fixed number that no other program uses: the lock under which one process at a time migrates. */
const MIGRATION_LOCK = 7_238_114;

export function openDatabase(options: DatabaseOptions): Promise<DataSource> {
  return openDataSource(dataSourceOptions(options), options.schema, options.logger);
}

/**
 * With several servers: how long the answer to a query is waited for, milliseconds. A server that is cut off never gives
 * one, and the kernel would wait for a quarter of an hour. `statement_timeout` is the server's: it ends no such wait.
 */
const ANSWER_MS = 10_000;
const PRIMARY = { answerMs: 2_000, othersMs: 200 };

/** @throws DatabaseUrlError */
export function dataSourceOptions(options: DatabaseOptions): DataSourceOptions {
  const servers = databaseServers(options.url);
  return {
    type: 'postgres',
    url: servers[0],
    schema: options.schema,
    entities: [...(options.entities ?? [])],
    migrations: [
      CreateOutboxAndInbox1700000000000,
      AddBusPositions1700000000500,
      AddRefusals1700000000700,
      AddOutboxBatches1700000000900,
      ...options.migrations,
    ],
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    poolSize: options.poolSize ?? 10,
    extra: {
      // Unqualified names in queries mean this service's tables.
      options: `-c search_path=${options.schema}`,
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 30_000,
      statement_timeout: 30_000,
      keepAlive: true,
      ...(servers.length > 1
        ? {
            Client: primaryClient({ servers, ...PRIMARY }),
            statement_timeout: ANSWER_MS,
            query_timeout: ANSWER_MS,
            keepAliveInitialDelayMillis: 2_000,
          }
        : {}),
    },
    poolErrorHandler: (error: unknown) =>
      options.logger.warn({ err: error }, 'database connection lost; the pool opens another'),
  };
}

export async function openDataSource(options: DataSourceOptions, schema: string, logger: Logger): Promise<DataSource> {
  // A migration takes its time, and waits for another process's.
  const { query_timeout: limit, ...unlimited } = (options.extra ?? {}) as Record<string, unknown>;
  if (limit !== undefined) {
    const migrating = await openAndMigrate(
      { ...options, extra: { ...unlimited, statement_timeout: 0 } } as DataSourceOptions,
      schema,
      logger,
    );
    await migrating.destroy();
    const source = new DataSource(options);
    await initialise(source, logger);
    return source;
  }
  return openAndMigrate(options, schema, logger);
}

async function initialise(source: DataSource, logger: Logger): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await source.initialize();
      break;
    } catch (error) {
      logger.warn({ err: error, attempt }, 'PostgreSQL is not ready yet');
      await new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** attempt, 5_000)));
    }
  }
}

async function openAndMigrate(options: DataSourceOptions, schema: string, logger: Logger): Promise<DataSource> {
  const source = new DataSource(options);
  await initialise(source, logger);
  const runner = source.createQueryRunner();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await runner.query(`CREATE SCHEMA IF NOT EXISTS "${schema}"`);
    await source.runMigrations();
  } finally {
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    await runner.release();
  }
  return source;
}

/** Whether the database answers. @throws when it does not */
export async function ask(source: DataSource): Promise<void> {
  await source.query('SELECT 1');
}
