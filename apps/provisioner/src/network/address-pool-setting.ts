/** At the start of the provisioner: its pool of addresses becomes the system's, or the start is refused. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { ConfigError, type Logger, LOGGER } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { setPool } from './address-pool.store.js';
import { addressPool, poolSize } from './domain/address-pool.js';

@Injectable()
export class AddressPoolSetting {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws ConfigError when containers have addresses that are not in the pool */
  async start(): Promise<void> {
    const { PLINTH_ADDRESS_POOL: pool, PLINTH_ADDRESS_POOL6: pool6 } = this.config;
    const conflict = await this.source.transaction((manager) => setPool(manager, addressPool(pool), pool6));
    if (!conflict) {
      this.logger.debug({ pool, pool6, addresses: poolSize(pool) }, 'pool of addresses');
      return;
    }
    const { outside, containers } = conflict;
    const why =
      outside > 0
        ? `PLINTH_ADDRESS_POOL: ${outside} of ${containers} containers have addresses outside of it; the pool is ${conflict.pool}`
        : `PLINTH_ADDRESS_POOL6: ${containers} containers have addresses of ${conflict.pool6}`;
    throw new ConfigError([
      `${why}. Set it as it was, or to a pool that has all of these addresses, or remove the containers first`,
    ]);
  }
}
