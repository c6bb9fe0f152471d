/**
 * A service's database as Nest sees it: `DataSource`, repositories of the entities that its modules name, and the
 * {@link Outbox}.
 */
import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { TypeOrmModule, type TypeOrmModuleOptions } from '@nestjs/typeorm';
import type { DataSourceOptions } from 'typeorm';
import type { ServiceConfig } from '../config.js';
import type { Logger } from '../logging.js';
import { LOGGER } from '../service-context.js';
import { type DatabaseOptions, dataSourceOptions, openDataSource } from './database.js';
import { Outbox } from './outbox.js';

@Module({})
class PersistenceModule {}

/**
 * Entities are those of `TypeOrmModule.forFeature` in the modules that use them. The pool is closed when Nest shuts
 * down, which is after all components have stopped.
 */
export function persistenceModule<C extends ServiceConfig & { readonly DATABASE_URL: string }>(
  config: Type<C>,
  options: Omit<DatabaseOptions, 'url' | 'logger' | 'entities'>,
): DynamicModule {
  let logger: Logger | undefined;
  const database = TypeOrmModule.forRootAsync({
    inject: [config, LOGGER],
    useFactory: ({ DATABASE_URL: url }: C, given: Logger): TypeOrmModuleOptions => {
      logger = given;
      // A server that is away is waited for where the pool is opened; a migration that fails would fail again.
      return { ...dataSourceOptions({ ...options, url, logger }), autoLoadEntities: true, toRetry: () => false };
    },
    dataSourceFactory: (resolved) => {
      if (!resolved || !logger) throw new Error('the database was asked for before its options');
      return openDataSource(resolved as DataSourceOptions, options.schema, logger);
    },
  });
  return {
    module: PersistenceModule as Type<unknown>,
    global: true,
    imports: [database],
    providers: [Outbox],
    exports: [Outbox],
  };
}
