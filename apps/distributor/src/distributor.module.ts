/** All wiring of the distributor. */
import { type DynamicModule, Module } from '@nestjs/common';
import { CredentialsError, natsReadiness, readSecret, type ServiceAssembly, type ServiceContext } from '@plinth/service-kit';
import { extractInThread } from './adapters/extraction-thread.js';
import { MasterRepository } from './adapters/master-repository.js';
import { keysReadiness, storageReadiness, tokenReadiness, zstdReadiness } from './adapters/readiness.js';
import { Revocations } from './adapters/revocations.js';
import { Staging } from './adapters/staging.js';
import { TrustedKeys } from './adapters/trusted-keys.js';
import { WantedStore } from './adapters/wanted-store.js';
import type { DistributorConfig } from './config.js';
import { DistributionLoop } from './distribution/distribution-loop.js';
import { Heartbeat } from './distribution/heartbeat.js';
import { resume } from './distribution/resume.js';
import { StorageLayout } from './domain/storage-layout.js';
import { describeNode } from './domain/targeting.js';
import { ImagePromotedHandler, STORAGE_NODE } from './handlers/image-promoted.handler.js';
import { ImageRevokedHandler } from './handlers/image-revoked.handler.js';

@Module({})
class DistributorModule {}

export async function assemble({ config, logger, connection, publisher }: ServiceContext<DistributorConfig>): Promise<ServiceAssembly> {
  const node = describeNode(config.PLINTH_STORAGE_NODE, config.PLINTH_DATACENTER, config.PLINTH_LABELS);
  const layout = new StorageLayout(config.PLINTH_STORAGE_DIR);
  const masters = new MasterRepository(layout);
  const staging = new Staging(layout);
  const keys = new TrustedKeys(config.PLINTH_TRUSTED_KEYS);
  const wanted = new WantedStore(layout.wanted);
  const revocations = new Revocations(layout);
  const loop = new DistributionLoop({
    node: node.name,
    masters,
    staging,
    keys,
    wanted,
    revocations,
    publisher,
    logger,
    extract: extractInThread,
    token: () => {
      try {
        return readToken(config.PLINTH_DOWNLOAD_TOKEN_FILE);
      } catch (error) {
        if (!(error instanceof CredentialsError)) throw error;
        // The repository refuses without it, and that is tried again.
        logger.error({ err: error }, 'downloads without a token');
        return undefined;
      }
    },
    stallMs: config.PLINTH_DOWNLOAD_STALL_SECONDS * 1_000,
    longestPauseMs: config.PLINTH_RETRY_MAX_SECONDS * 1_000,
  });
  const heartbeat = new Heartbeat(connection, node, masters, revocations, logger, config.PLINTH_HEARTBEAT_SECONDS * 1_000);

  await resume(masters, staging, wanted);
  const module: DynamicModule = {
    module: DistributorModule,
    controllers: [ImagePromotedHandler, ImageRevokedHandler],
    providers: [
      { provide: STORAGE_NODE, useValue: node },
      { provide: WantedStore, useValue: wanted },
      { provide: DistributionLoop, useValue: loop },
      { provide: Revocations, useValue: revocations },
    ],
  };
  return {
    module,
    readiness: [natsReadiness(connection), storageReadiness(layout.images), keysReadiness(keys), zstdReadiness(), tokenReadiness(() => readToken(config.PLINTH_DOWNLOAD_TOKEN_FILE))],
    // Distributors of one node share its promotions; those of another get them all.
    consumerGroup: `distributor-${node.name}`,
    start: () => {
      loop.start();
      heartbeat.start();
    },
    stop: async () => {
      heartbeat.stop();
      await loop.stop();
    },
  };
}

/** @throws CredentialsError when the file is missing or open to others */
function readToken(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readSecret(file).toString('latin1').trim().split(/\s+/)[0];
}
