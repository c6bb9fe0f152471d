/** All wiring of the distributor. */
import { type DynamicModule, Module } from '@nestjs/common';
import { TrustedKeys, TrustedKeysError } from '@plinth/image-trust';
import {
  ConfigError,
  CONNECTION,
  CredentialsError,
  LOGGER,
  type Logger,
  natsReadiness,
  SERVICE_READINESS,
  type ServiceContext,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import {
  extractInThread,
  type InstallationParts,
  InstalledImages,
  ObjectDirectory,
  Staging,
  Pace,
  sharedPace,
} from '@plinth/image-transfer';
import { readTokens } from '@plinth/image-transfer/service';
import { ProductionRecords } from './adapters/production-records.js';
import { ProductionWatch } from './adapters/production-watch.js';
import { ServingAddress } from './adapters/serving-address.js';
import { NodeServer } from './adapters/node-server.js';
import { HostLeases } from './adapters/host-leases.js';
import { keysReadiness, storageReadiness, tokenReadiness, zstdReadiness } from './adapters/readiness.js';
import { Origins } from './adapters/origins.js';
import { Retirements } from './adapters/retirements.js';
import { Revocations } from './adapters/revocations.js';
import { VolumeUsage } from './adapters/volume-usage.js';
import { WantedStore } from './adapters/wanted-store.js';
import { DistributorConfig } from './config.js';
import { DistributionLoop } from './distribution/distribution-loop.js';
import { Heartbeat } from './distribution/heartbeat.js';
import { NodeLead } from './distribution/node-lead.js';
import { ProductionFollowing } from './distribution/production-following.js';
import { ObjectRemoval } from './distribution/object-removal.js';
import { RemovalLoop } from './distribution/removal-loop.js';
import { Resumption } from './distribution/resumption.js';
import { Scrub } from './distribution/scrub.js';
import { StorageLayout } from './domain/storage-layout.js';
import { describeNode, type StorageNode } from './domain/targeting.js';
import { INSTALLATION_PARTS, STORAGE_NODE } from './tokens.js';

/** Providers of this node and its directories. */
const NODE = [
  {
    provide: STORAGE_NODE,
    inject: [DistributorConfig],
    useFactory: (config: DistributorConfig): StorageNode =>
      describeNode(config.PLINTH_STORAGE_NODE, config.PLINTH_DATACENTER, config.PLINTH_LABELS),
  },
  {
    provide: StorageLayout,
    inject: [DistributorConfig],
    useFactory: (config: DistributorConfig) => new StorageLayout(config.PLINTH_STORAGE_DIR),
  },
  {
    provide: WantedStore,
    inject: [StorageLayout],
    useFactory: (layout: StorageLayout) => new WantedStore(layout.wanted),
  },
  {
    provide: HostLeases,
    inject: [StorageLayout],
    useFactory: (layout: StorageLayout) => new HostLeases(layout.leases),
  },
  {
    provide: VolumeUsage,
    inject: [StorageLayout, DistributorConfig, LOGGER],
    useFactory: (layout: StorageLayout, config: DistributorConfig, logger: Logger) =>
      new VolumeUsage(layout.volumes, config.PLINTH_DISK_USE_SECONDS * 1_000, logger),
  },
];

@Module({
  providers: [
    ...NODE,
    {
      provide: InstalledImages,
      inject: [StorageLayout],
      useFactory: (layout: StorageLayout) => new InstalledImages(layout),
    },
    { provide: Staging, inject: [StorageLayout], useFactory: (layout: StorageLayout) => new Staging(layout) },
    {
      provide: ObjectDirectory,
      inject: [StorageLayout],
      useFactory: (layout: StorageLayout) => new ObjectDirectory(layout),
    },
    ProductionRecords,
    ProductionWatch,
    ProductionFollowing,
    ServingAddress,
    NodeServer,
    NodeLead,
    Revocations,
    Retirements,
    Resumption,
    DistributionLoop,
    RemovalLoop,
    ObjectRemoval,
    Origins,
    Scrub,
    Heartbeat,
    {
      provide: INSTALLATION_PARTS,
      inject: [DistributorConfig, InstalledImages, Staging, TrustedKeys, ObjectDirectory, LOGGER],
      useFactory: installationParts,
    },
    {
      provide: SERVICE_READINESS,
      inject: [DistributorConfig, CONNECTION, StorageLayout, TrustedKeys, ProductionWatch],
      useFactory: (
        config: DistributorConfig,
        connection: NatsConnection,
        layout: StorageLayout,
        keys: TrustedKeys,
        watch: ProductionWatch,
      ) => [
        natsReadiness(connection),
        { name: 'production', check: () => watch.problem() },
        storageReadiness(layout.images),
        keysReadiness(keys),
        zstdReadiness(),
        tokenReadiness(() => readToken(config.PLINTH_DOWNLOAD_TOKEN_FILE)),
      ],
    },
  ],
  exports: [SERVICE_READINESS],
})
export class DistributorModule {
  /** @param keys read before the connection to NATS, so that a wrong configuration is reported at once */
  static with(keys: TrustedKeys): DynamicModule {
    return { module: DistributorModule, providers: [{ provide: TrustedKeys, useValue: keys }] };
  }
}

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

function installationParts(
  config: DistributorConfig,
  images: InstalledImages,
  staging: Staging,
  keys: TrustedKeys,
  objects: ObjectDirectory,
  logger: Logger,
): InstallationParts {
  const rate = config.PLINTH_DOWNLOAD_MIB_PER_SECOND;
  const pace = sharedPace(rate === undefined ? undefined : rate * 1024 ** 2);
  return {
    images,
    staging,
    keys,
    extract: extractInThread,
    check: async (directory, signal) => (await objects.check([directory], Number.MAX_SAFE_INTEGER, signal))[0] ?? [],
    stallMs: config.PLINTH_DOWNLOAD_STALL_SECONDS * 1_000,
    ...(pace && { pace: new Pace(pace) }),
    token: () => {
      try {
        return readToken(config.PLINTH_DOWNLOAD_TOKEN_FILE);
      } catch (error) {
        if (!(error instanceof CredentialsError)) throw error;
        // A repository refuses downloads without the token, and they are tried again.
        logger.error({ err: error }, 'the token can not be read; downloads are sent without it');
        return undefined;
      }
    },
  };
}

/** @throws CredentialsError when the file is missing or open to others */
function readToken(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readTokens(file)[0];
}
