/** All wiring of the image-builder. */
import { Module } from '@nestjs/common';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import {
  CONNECTION,
  databaseReadiness,
  LOGGER,
  type Logger,
  natsReadiness,
  persistenceModule,
  SERVICE_READINESS,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import {
  AddPackages1700000002000,
  AddUpgradeSteps1700000003000,
  CreateImageBuild1700000001000,
  ImageBuildSchema,
} from './adapters/postgres/image-build.schema.js';
import { ImageCatalogue } from './adapters/postgres/image-catalogue.js';
import { Deltas } from './adapters/repository/deltas.js';
import { DownloadServer } from './adapters/repository/download-server.js';
import { ImageDownloads } from './adapters/repository/image-downloads.js';
import { SigningKey } from '@plinth/image-trust';
import { ImageRepository } from './adapters/repository/image-repository.js';
import { Bootstrap } from './adapters/sources/bootstrap.js';
import { DebianBootstrap } from './adapters/sources/debian-bootstrap.js';
import { SourceFiles } from './adapters/sources/source-files.js';
import { Sandbox } from './adapters/tools/sandbox.js';
import { StatusReporter } from './adapters/tools/status-reporter.js';
import { WorkDirectories } from './adapters/tools/work-directories.js';
import { ImageBooter } from './adapters/tree/image-booter.js';
import { BuildJob } from './building/build-job.js';
import { BuildRunner } from './building/build-runner.js';
import { Leftovers } from './building/leftovers.js';
import { IMAGE_MAKER, type ImageMaker } from './building/make-image.js';
import { Promotions } from './building/promotions.js';
import { Retirements } from './building/retirements.js';
import { ImageTester } from './building/test-image.js';
import { ImageBuilderConfig } from './config.js';
import { BuildQueryHandler } from './handlers/build.query.js';
import { ImageInspectionHandler } from './handlers/image-inspection.query.js';
import { ImageRequestedHandler } from './handlers/image-requested.handler.js';
import { ImageRetiredHandler } from './handlers/image-retired.handler.js';
import { PromotionRequestedHandler } from './handlers/promotion-requested.handler.js';
import { RevocationRequestedHandler } from './handlers/revocation-requested.handler.js';
import { ImageInspection } from './inspection/image-inspection.js';

/** Debian's name of this machine's architecture. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  riscv64: 'riscv64',
  ppc64: 'ppc64el',
  s390x: 's390x',
};

/** Adapters that are opened on this machine. */
const MACHINE = [
  {
    provide: SigningKey,
    inject: [ImageBuilderConfig, LOGGER],
    useFactory: async (config: ImageBuilderConfig, logger: Logger): Promise<SigningKey> => {
      const signer = await SigningKey.open(config.PLINTH_SIGNING_KEY);
      logger.info({ keyId: signer.keyId }, 'images are signed with this key');
      return signer;
    },
  },
  {
    provide: ImageRepository,
    inject: [ImageBuilderConfig],
    useFactory: async (config: ImageBuilderConfig): Promise<ImageRepository> => {
      const repository = new ImageRepository(config.PLINTH_REPOSITORY_DIR);
      await repository.open();
      return repository;
    },
  },
  {
    provide: WorkDirectories,
    inject: [ImageBuilderConfig],
    useFactory: (config: ImageBuilderConfig) =>
      WorkDirectories.open(config.PLINTH_BUILDER_DIR, config.PLINTH_SERVICE_ID),
  },
  {
    provide: Sandbox,
    inject: [WorkDirectories, LOGGER],
    useFactory: (directories: WorkDirectories, logger: Logger) => {
      const sandbox = Sandbox.open(directories.sandbox);
      for (const { limit, message } of sandbox.missing)
        logger.warn(
          { limit, problem: message },
          'commands of recipes run without a limit that this machine can not hold',
        );
      return sandbox;
    },
  },
  {
    provide: ImageBooter,
    inject: [WorkDirectories],
    useFactory: (directories: WorkDirectories) => ImageBooter.open(directories.containers),
  },
  {
    provide: IMAGE_MAKER,
    inject: [ImageBuilderConfig, Sandbox, SigningKey],
    useFactory: (config: ImageBuilderConfig, sandbox: Sandbox, signer: SigningKey): ImageMaker => {
      const debian = new DebianBootstrap({
        mirror: config.PLINTH_DEBIAN_MIRROR,
        snapshots: config.PLINTH_DEBIAN_SNAPSHOTS,
      });
      const bootstrap = new Bootstrap(debian, new SourceFiles(config.PLINTH_SOURCES_DIR));
      return { bootstrap, sandbox, signer, architecture: ARCHITECTURES[process.arch] ?? process.arch };
    },
  },
];

@Module({
  imports: [
    persistenceModule(ImageBuilderConfig, {
      schema: 'image_builder',
      migrations: [CreateImageBuild1700000001000, AddPackages1700000002000, AddUpgradeSteps1700000003000],
    }),
    TypeOrmModule.forFeature([ImageBuildSchema]),
  ],
  controllers: [
    ImageRequestedHandler,
    PromotionRequestedHandler,
    RevocationRequestedHandler,
    ImageRetiredHandler,
    BuildQueryHandler,
    ImageInspectionHandler,
  ],
  providers: [
    ...MACHINE,
    ImageCatalogue,
    StatusReporter,
    ImageTester,
    BuildJob,
    BuildRunner,
    Promotions,
    Retirements,
    Leftovers,
    ImageInspection,
    ImageDownloads,
    Deltas,
    DownloadServer,
    {
      provide: SERVICE_READINESS,
      inject: [CONNECTION, getDataSourceToken()],
      useFactory: (connection: NatsConnection, source: DataSource) => [
        natsReadiness(connection),
        databaseReadiness(source),
      ],
    },
  ],
  exports: [SERVICE_READINESS],
})
export class ImageBuilderModule {}
