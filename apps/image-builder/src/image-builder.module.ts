/** All wiring of the image-builder. */
import { type DynamicModule, Module } from '@nestjs/common';
import { STREAMS } from '@plinth/contracts';
import {
  databaseReadiness,
  natsReadiness,
  openDatabase,
  Outbox,
  type ServiceAssembly,
  type ServiceContext,
} from '@plinth/service-kit';
import { Bootstrap } from './adapters/sources/bootstrap.js';
import { DebianBootstrap } from './adapters/sources/debian-bootstrap.js';
import { DownloadServer } from './adapters/repository/download-server.js';
import {
  AddPackages1700000002000,
  CreateImageBuild1700000001000,
  ImageBuildSchema,
} from './adapters/postgres/image-build.schema.js';
import { ImageBooter } from './adapters/tree/image-booter.js';
import { ImageCatalogue } from './adapters/postgres/image-catalogue.js';
import { ImageDownloads } from './adapters/repository/image-downloads.js';
import { SigningKey } from '@plinth/image-trust';
import { ImageRepository } from './adapters/repository/image-repository.js';
import { Sandbox } from './adapters/tools/sandbox.js';
import { SourceFiles } from './adapters/sources/source-files.js';
import { StatusReporter } from './adapters/tools/status-reporter.js';
import { WorkDirectories } from './adapters/tools/work-directories.js';
import { BuildJob } from './building/build-job.js';
import { BuildRunner } from './building/build-runner.js';
import { LeftOvers } from './building/left-overs.js';
import { Promotions } from './building/promotions.js';
import { Retirements } from './building/retirements.js';
import { ImageTester } from './building/test-image.js';
import type { ImageBuilderConfig } from './config.js';
import { BuildQueryHandler } from './handlers/build.query.js';
import { ImageInspectionHandler } from './handlers/image-inspection.query.js';
import { ImageRequestedHandler } from './handlers/image-requested.handler.js';
import { ImageRetiredHandler } from './handlers/image-retired.handler.js';
import { PromotionRequestedHandler } from './handlers/promotion-requested.handler.js';
import { RevocationRequestedHandler } from './handlers/revocation-requested.handler.js';
import { ImageInspection } from './inspection/image-inspection.js';
import { LOGGER } from './handlers/tokens.js';

@Module({})
class ImageBuilderModule {}

/** NATS' own, bytes. */
const DEFAULT_MAX_PAYLOAD = 1024 ** 2;
/** Debian's name of what this machine is. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  riscv64: 'riscv64',
  ppc64: 'ppc64el',
  s390x: 's390x',
};

export async function assemble({
  config,
  logger,
  connection,
  publisher,
  consumers,
}: ServiceContext<ImageBuilderConfig>): Promise<ServiceAssembly> {
  const signer = await SigningKey.open(config.PLINTH_SIGNING_KEY);
  logger.info({ keyId: signer.keyId }, 'images are signed with this key');
  const repository = new ImageRepository(config.PLINTH_REPOSITORY_DIR);
  await repository.open();
  const directories = await WorkDirectories.open(config.PLINTH_BUILDER_DIR, config.PLINTH_SERVICE_ID);
  const sandbox = Sandbox.open(directories.sandbox);
  const booter = ImageBooter.open(directories.containers);
  const database = await openDatabase({
    url: config.DATABASE_URL,
    schema: 'image_builder',
    entities: [ImageBuildSchema],
    migrations: [CreateImageBuild1700000001000, AddPackages1700000002000],
    logger,
  });

  const catalogue = new ImageCatalogue(database);
  const outbox: Outbox = new Outbox(database, publisher, consumers, logger, async (stream) => {
    if (stream === STREAMS.events.name) await promotions.announceAll();
  });
  const statuses = new StatusReporter(publisher, logger);
  const promotions = new Promotions(
    outbox,
    catalogue,
    repository,
    statuses,
    config.PLINTH_PUBLIC_URL.replace(/\/+$/, ''),
    logger,
  );
  const debian = new DebianBootstrap({
    mirror: config.PLINTH_DEBIAN_MIRROR,
    snapshots: config.PLINTH_DEBIAN_SNAPSHOTS,
  });
  const bootstrap = new Bootstrap(debian, new SourceFiles(config.PLINTH_SOURCES_DIR));
  const maker = { bootstrap, sandbox, signer, architecture: ARCHITECTURES[process.arch] ?? process.arch };
  const job = new BuildJob(catalogue, outbox, repository, directories, maker, new ImageTester(booter));
  const runner = new BuildRunner(
    {
      serviceId: config.PLINTH_SERVICE_ID,
      concurrency: config.PLINTH_BUILD_CONCURRENCY,
      timeoutSeconds: config.PLINTH_BUILD_TIMEOUT_SECONDS,
    },
    catalogue,
    outbox,
    repository,
    directories,
    statuses,
    job,
    logger,
  );
  const leftOvers = new LeftOvers(
    config.PLINTH_SERVICE_ID,
    catalogue,
    repository,
    directories,
    sandbox,
    booter,
    promotions,
    logger,
  );
  // Before any build is taken: nothing of a killed process is in the way of the next try.
  await leftOvers.clean();

  const { PLINTH_DOWNLOAD_TLS_CERT: certFile, PLINTH_DOWNLOAD_TLS_KEY: keyFile } = config;
  const downloads = await DownloadServer.open(
    {
      host: config.PLINTH_DOWNLOAD_HOST,
      port: config.PLINTH_DOWNLOAD_PORT,
      tokenFile: config.PLINTH_DOWNLOAD_TOKEN_FILE,
      ...(certFile !== undefined && keyFile !== undefined ? { tls: { certFile, keyFile } } : {}),
    },
    new ImageDownloads(repository),
    logger,
  );

  const module: DynamicModule = {
    module: ImageBuilderModule,
    controllers: [
      ImageRequestedHandler,
      PromotionRequestedHandler,
      RevocationRequestedHandler,
      ImageRetiredHandler,
      BuildQueryHandler,
      ImageInspectionHandler,
    ],
    providers: [
      { provide: LOGGER, useValue: logger },
      { provide: Outbox, useValue: outbox },
      { provide: ImageCatalogue, useValue: catalogue },
      { provide: BuildRunner, useValue: runner },
      { provide: Promotions, useValue: promotions },
      { provide: Retirements, useValue: new Retirements(outbox, catalogue, repository, directories, statuses, logger) },
      {
        provide: ImageInspection,
        useValue: new ImageInspection(catalogue, repository, () => connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD),
      },
      { provide: StatusReporter, useValue: statuses },
    ],
  };
  return {
    module,
    readiness: [natsReadiness(connection), databaseReadiness(database)],
    start: () => {
      outbox.start();
      leftOvers.start();
      runner.start();
    },
    stop: async () => {
      await downloads.close();
      await runner.stop();
      await leftOvers.stop();
      await outbox.close();
      await database.destroy();
    },
  };
}
