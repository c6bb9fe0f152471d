/** All wiring of the distributor. */
import { distributorGroup } from '@plinth/contracts';
import { type DynamicModule, Module } from '@nestjs/common';
import { TrustedKeys, TrustedKeysError } from '@plinth/image-trust';
import {
  ConfigError,
  CredentialsError,
  natsReadiness,
  readSecret,
  type ServiceAssembly,
  type ServiceContext,
} from '@plinth/service-kit';
import { extractInThread } from './adapters/extraction-thread.js';
import { HostLeases } from './adapters/host-leases.js';
import { MasterRepository } from './adapters/master-repository.js';
import { keysReadiness, storageReadiness, tokenReadiness, zstdReadiness } from './adapters/readiness.js';
import { Retirements } from './adapters/retirements.js';
import { Revocations } from './adapters/revocations.js';
import { Staging } from './adapters/staging.js';
import { VolumeUsage } from './adapters/volume-usage.js';
import { WantedStore } from './adapters/wanted-store.js';
import type { DistributorConfig } from './config.js';
import { DistributionLoop } from './distribution/distribution-loop.js';
import { Heartbeat } from './distribution/heartbeat.js';
import { RemovalLoop } from './distribution/removal-loop.js';
import { resume } from './distribution/resume.js';
import { StorageLayout } from './domain/storage-layout.js';
import { describeNode } from './domain/targeting.js';
import { ImagePromotedHandler, STORAGE_NODE } from './handlers/image-promoted.handler.js';
import { ImageRetiredHandler } from './handlers/image-retired.handler.js';
import { ImageRevokedHandler } from './handlers/image-revoked.handler.js';

@Module({})
class DistributorModule {}

/** @throws ConfigError when no key can be trusted */
export async function openTrustedKeys({
  config,
  logger,
}: Pick<ServiceContext<DistributorConfig>, 'config' | 'logger'>): Promise<TrustedKeys> {
  try {
    return await TrustedKeys.open(config.PLINTH_TRUSTED_KEYS, (problem) => logger.warn(problem));
  } catch (error) {
    if (!(error instanceof TrustedKeysError)) throw error;
    throw new ConfigError([`PLINTH_TRUSTED_KEYS: ${error.message}`]);
  }
}

export async function assemble(
  { config, logger, connection, publisher }: ServiceContext<DistributorConfig>,
  keys: TrustedKeys,
): Promise<ServiceAssembly> {
  const node = describeNode(config.PLINTH_STORAGE_NODE, config.PLINTH_DATACENTER, config.PLINTH_LABELS);
  const layout = new StorageLayout(config.PLINTH_STORAGE_DIR);
  const masters = new MasterRepository(layout);
  const staging = new Staging(layout);
  const wanted = new WantedStore(layout.wanted);
  const revocations = new Revocations(layout);
  const retirements = new Retirements(layout);
  const loop = new DistributionLoop({
    node: node.name,
    masters,
    staging,
    keys,
    wanted,
    revocations,
    retirements,
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
  const removals = new RemovalLoop({ node: node.name, masters, staging, retirements, publisher, logger });
  const usage = new VolumeUsage(layout.volumes, config.PLINTH_DISK_USE_SECONDS * 1_000, logger);
  const heartbeat = new Heartbeat(
    connection,
    node,
    masters,
    revocations,
    new HostLeases(layout.leases),
    usage,
    logger,
    config.PLINTH_HEARTBEAT_SECONDS * 1_000,
  );

  await resume(masters, staging, wanted, retirements);
  const module: DynamicModule = {
    module: DistributorModule,
    controllers: [ImagePromotedHandler, ImageRevokedHandler, ImageRetiredHandler],
    providers: [
      { provide: STORAGE_NODE, useValue: node },
      { provide: WantedStore, useValue: wanted },
      { provide: DistributionLoop, useValue: loop },
      { provide: Revocations, useValue: revocations },
      { provide: Retirements, useValue: retirements },
      { provide: RemovalLoop, useValue: removals },
    ],
  };
  return {
    module,
    readiness: [
      natsReadiness(connection),
      storageReadiness(layout.images),
      keysReadiness(keys),
      zstdReadiness(),
      tokenReadiness(() => readToken(config.PLINTH_DOWNLOAD_TOKEN_FILE)),
    ],
    // Distributors of one node share its promotions; those of another get them all.
    consumerGroup: distributorGroup(node.name),
    start: () => {
      loop.start();
      removals.start();
      usage.start();
      heartbeat.start();
    },
    stop: async () => {
      heartbeat.stop();
      await Promise.all([usage.stop(), loop.stop(), removals.stop()]);
    },
  };
}

/** @throws CredentialsError when the file is missing or open to others */
function readToken(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readSecret(file).toString('latin1').trim().split(/\s+/)[0];
}
