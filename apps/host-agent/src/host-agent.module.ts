/** All wiring of the host agent. */
import { access, constants } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type DynamicModule, Module } from '@nestjs/common';
import { kernelFeatures, missingFeatures, OciRuntime } from '@plinth/container-runtime';
import { isFileLocked, isMissing, readBootId } from '@plinth/host-os';
import { TrustedKeys, TrustedKeysError } from '@plinth/image-trust';
import {
  DESIRED_IMAGES,
  desiredConsumer,
  hostConsumers,
  hostImageConsumers,
  hostImagesConsumer,
} from '@plinth/contracts';
import {
  CONNECTION,
  ConfigError,
  createLogger,
  loadConfig,
  type Logger,
  natsReadiness,
  type ReadinessCheck,
  runService,
  SERVICE_READINESS,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { cgroupBytes, containerStats } from './adapters/container-stats.js';
import { ContainerLogs } from './adapters/container-logs.js';
import { ContainerStore } from './adapters/container-store.js';
import { ContainerUsers } from './adapters/container-users.js';
import { DataVolumes } from './adapters/data-volume.js';
import { VolumeLimits } from './adapters/volume-limits.js';
import { hostIo } from './adapters/io-controls.js';
import { networkRemovers, openNetworks } from './adapters/host-networks.js';
import { HostClock } from './adapters/host-clock.js';
import { NeighbourStore } from './adapters/neighbour-store.js';
import { PolicyStore } from './adapters/policy-store.js';
import { attachedImages, ImageMasters, ownStore } from './adapters/image-master.js';
import { OciContainers } from './adapters/oci-containers.js';
import { runtimeVersion } from './adapters/runtime-version.js';
import { ReportJournal } from './adapters/report-journal.js';
import { GUARD_LOCK } from './adapters/lease-files.js';
import { LeaseWatch } from './adapters/lease-watch.js';
import { lockStateDirectory, openStateDirectory, StateDirectoryError } from './adapters/state-directory.js';
import { HostAgentConfig } from './config.js';
import { FairQueue } from './domain/fair-queue.js';
import { parseStorageMounts, type StorageMounts } from './domain/storage-mounts.js';
import { AgentQueries } from './handlers/agent-queries.js';
import { ExecHandler } from './handlers/exec.handler.js';
import { LogsHandler } from './handlers/logs.handler.js';
import { StatsHandler } from './handlers/stats.handler.js';
import { BusLink } from './reconcile/bus-link.js';
import { Fleet } from './reconcile/fleet.js';
import { HostHeartbeat } from './reconcile/host-heartbeat.js';
import { measureAgent } from './reconcile/agent-metrics.js';
import type { AgentServices } from './reconcile/agent-services.js';
import { HealthChecks } from './reconcile/health-checks.js';
import { LimitWatch } from './reconcile/limit-watch.js';
import { measureNames } from './reconcile/name-metrics.js';
import { measureNetworks } from './reconcile/network-metrics.js';
import { removeAllContainers } from './reconcile/remove-all.js';
import { Neighbours } from './reconcile/neighbours.js';
import { Reporter } from './reconcile/reporter.js';
import { TenantPolicies } from './reconcile/tenant-policies.js';
import { openOwnImages, ownImages } from './own-images.module.js';
import { AGENT_SERVICES, RUNTIME_NAME } from './tokens.js';

/**
 * A restart that waits for a core makes a container's downtime longer: one restart at a time in place of four starts.
 */
const STARTS_PER_HANDOVER = 4;
const ANNOUNCED_AT_ONCE = 8;
const REPORT_PATIENCE_MS = 2_000;
const GUARD_PATIENCE_MS = 10_000;
/** sysexits.h */
const EX_CONFIG = 78;

@Module({})
class HostAgentModule {}

/** The part of the agent that runs with or without NATS. */
interface Host {
  readonly fleet: Fleet;
  readonly services: AgentServices;
  readonly keys: TrustedKeys;
  readonly runtimeName: string;
  readonly stateRoot: string;
  release(): void;
}

/** Files of the programs that run beside the agent. */
export interface Programs {
  readonly leaseGuard: string;
  readonly resolver: string;
}

export async function run(programs: Programs): Promise<void> {
  let host: Host | undefined;
  await runService({
    name: 'host-agent',
    config: HostAgentConfig,
    consumers: ({ PLINTH_HOST: host }) => ({
      request: hostConsumers(host),
      watcher: desiredConsumer(host),
      watches: [{ filter: DESIRED_IMAGES, request: hostImageConsumers(host), consumer: hostImagesConsumer(host) }],
    }),
    prepare: async ({ config, logger }) => {
      const opened = await openHost(config, logger, programs);
      const { fleet, services } = opened;
      await services.leases.open();
      await services.neighbours.load();
      await services.policies.load();
      await fleet.takeOver();
      await services.supply?.start({ uses: () => fleet.imageUses(), wake: (image) => fleet.wakeFor(image) });
      services.imageScrub?.start();
      services.serving?.start();
      services.leases.start((storageNode) => fleet.endAllOn(storageNode));
      host = opened;
      return {
        'host lock': { stop: () => opened.release() },
        reporter: { stop: () => services.reporter.close(REPORT_PATIENCE_MS) },
        containers: { stop: () => services.containers.close() },
        networks: { stop: () => services.networks.close() },
        neighbours: { stop: () => services.neighbours.close() },
        policies: { stop: () => services.policies.close() },
        'image serving': { stop: () => services.serving?.stop() },
        'image scrub': { stop: () => services.imageScrub?.stop() },
        'image reports': { stop: () => services.imageReports?.close() },
        'image supply': { stop: () => services.supply?.stop() },
        'health checks': { stop: () => services.health.close() },
        fleet: { stop: () => fleet.close() },
        leases: { stop: () => services.leases.close() },
      };
    },
    module: () => {
      if (!host) throw new Error('the module was requested before the host was prepared');
      return hostAgentModule(host);
    },
    components: [BusLink, AgentQueries, HostHeartbeat],
  });
}

/** The components that need the bus; those that keep containers running without it were opened before. */
function hostAgentModule({ fleet, services, keys, runtimeName, stateRoot }: Host): DynamicModule {
  return {
    module: HostAgentModule,
    providers: [
      { provide: AGENT_SERVICES, useValue: services },
      { provide: RUNTIME_NAME, useValue: runtimeName },
      { provide: Fleet, useValue: fleet },
      { provide: ExecHandler, useFactory: () => new ExecHandler(services.containers.runtime) },
      { provide: LogsHandler, useFactory: () => new LogsHandler(services.logs, (id) => fleet.has(id)) },
      {
        provide: StatsHandler,
        useFactory: () =>
          new StatsHandler(
            () => fleet.running(),
            (id, pid) => containerStats(services.containers.runtime, id, pid, fleet.diskUse(id)?.usedBytes),
            () => services.networks.counters(),
          ),
      },
      BusLink,
      AgentQueries,
      HostHeartbeat,
      {
        provide: SERVICE_READINESS,
        inject: [CONNECTION, BusLink],
        useFactory: (connection: NatsConnection, link: BusLink): ReadinessCheck[] => [
          natsReadiness(connection),
          link.readiness,
          { name: 'leases', check: () => Promise.resolve(services.leases.problem()) },
          { name: 'trusted-keys', check: () => keys.problem() },
          ...hostReadiness(services, stateRoot),
        ],
      },
    ],
    exports: [SERVICE_READINESS],
  };
}

export async function removeAll(programs: Programs): Promise<void> {
  const config = loadOrExit({
    PLINTH_SERVICE_ID: 'remove-all',
    PLINTH_STORAGE_MOUNTS: 'none=/none',
    PLINTH_TRUSTED_KEYS: '/none',
    ...process.env,
  });
  const logger = createLogger('host-agent', 'remove-all', config.LOG_LEVEL);
  const lock = await lockOrExit(config.PLINTH_HOST_DIR);
  const state = await openStateDirectory(config.PLINTH_HOST_DIR, config.PLINTH_HOST);
  const runtime = new OciRuntime({ stateDirectory: state.runtime });
  await removeAllContainers(
    runtime,
    networkRemovers(config, runtime, state.cni, programs.resolver, logger),
    new ContainerStore(state.containers),
    logger,
  );
  lock.release();
  await guardGone(config.PLINTH_HOST_DIR);
  // One that was killed has left it.
  runtime.monitors.remove();
}

/** Waits for the lease guard, which ends by itself when neither agent nor container is left. */
async function guardGone(directory: string): Promise<void> {
  for (
    const end = performance.now() + GUARD_PATIENCE_MS;
    performance.now() < end && isFileLocked(join(directory, GUARD_LOCK));
  )
    await delay(50);
}

/** @throws ConfigError when no key can be trusted */
async function openTrustedKeys(directory: string, logger: Logger): Promise<TrustedKeys> {
  try {
    return await TrustedKeys.open(directory, (problem) => logger.warn(problem));
  } catch (error) {
    if (!(error instanceof TrustedKeysError)) throw error;
    throw new ConfigError([`PLINTH_TRUSTED_KEYS: ${error.message}`]);
  }
}

async function openHost(config: HostAgentConfig, logger: Logger, programs: Programs): Promise<Host> {
  const keys = await openTrustedKeys(config.PLINTH_TRUSTED_KEYS, logger);
  const lock = await lockOrExit(config.PLINTH_HOST_DIR);
  const state = await openStateDirectory(config.PLINTH_HOST_DIR, config.PLINTH_HOST);
  // conmon also limits a log, for a flood between two rotations; what it drops is lost.
  const runtime = new OciRuntime({
    stateDirectory: state.runtime,
    logLimitBytes: 4 * config.PLINTH_LOG_MAX_BYTES,
    limits: config.PLINTH_CONTAINER_LIMITS,
    promisedCpus: config.PLINTH_CAPACITY_CPUS,
  });
  const missing = missingFeatures(kernelFeatures());
  if (missing.length > 0) throw new ConfigError(missing);
  checkLimits(runtime, config, logger);
  logger.info(
    { runtime: runtime.binary.name, path: runtime.binary.path, reason: runtime.binary.reason },
    'container runtime chosen',
  );
  const storage = realStorage(config.PLINTH_STORAGE_MOUNTS);
  const own = await openOwnImages(config, state.root);
  const reporter = new Reporter(config.PLINTH_HOST, new ReportJournal(state.reports), logger);
  const bootId = readBootId();
  const clock = await HostClock.open(state.root, bootId);
  const containers = new OciContainers(runtime, clock);
  const volumeLimits = new VolumeLimits(storage);
  logger.info({ diskLimits: volumeLimits.describe() }, 'limits of data volumes');
  const volumes = new DataVolumes(storage, volumeLimits);
  const networks = await openNetworks(config, runtime, state.cni, programs.resolver, logger);
  runtime.prepareNetworksBy((namespace) => networks.prepare(namespace));
  measureNetworks(networks);
  measureNames(networks);
  const services: AgentServices = {
    host: config.PLINTH_HOST,
    bootId,
    clock,
    allowHostNetwork: config.PLINTH_ALLOW_HOST_NETWORK,
    users: openUsers(config, runtime, storage, own?.directory, logger),
    storage,
    store: new ContainerStore(state.containers),
    containers,
    images: new ImageMasters(own ? ownStore(own.directory) : attachedImages(storage), keys),
    ...(own && ownImages(config, own, logger)),
    volumes,
    volumeLimits,
    io: hostIo(storage, config.PLINTH_CONTAINER_LIMITS),
    networks,
    neighbours: new Neighbours(config.PLINTH_HOST, new NeighbourStore(state.neighbours), networks, logger),
    policies: new TenantPolicies(new PolicyStore(state.policies), networks, logger),
    networkCheckMs: config.PLINTH_HEARTBEAT_SECONDS * 1000,
    leases: new LeaseWatch({
      host: config.PLINTH_HOST,
      hostDirectory: state.root,
      guardProgram: programs.leaseGuard,
      storage,
      ttlSeconds: config.PLINTH_LEASE_SECONDS,
      bootId,
      group: runtime.monitors,
      logger,
    }),
    logs: new ContainerLogs(runtime, { maxBytes: config.PLINTH_LOG_MAX_BYTES, keep: config.PLINTH_LOG_KEEP }),
    reporter,
    starts: new FairQueue(config.PLINTH_START_CONCURRENCY),
    handovers: new FairQueue(Math.max(1, Math.floor(config.PLINTH_START_CONCURRENCY / STARTS_PER_HANDOVER))),
    announcements: new FairQueue(ANNOUNCED_AT_ONCE),
    health: new HealthChecks(containers, clock, config.PLINTH_HEALTH_CONCURRENCY, logger),
    limits: new LimitWatch(containers, ({ effective }) => volumes.use(effective), clock, logger),
    limitCheckMs: config.PLINTH_LIMIT_CHECK_SECONDS * 1000,
    logger,
  };
  const fleet = new Fleet(services);
  measureAgent(
    services,
    () => fleet.running(),
    (id) => cgroupBytes(runtime.cgroupOf(id)),
  );
  return {
    fleet,
    services,
    keys,
    runtimeName: await runtimeVersion(runtime.binary.path),
    stateRoot: state.root,
    release: () => lock.release(),
  };
}

/** @throws ConfigError when containers must be held to limits that this machine can't hold */
function checkLimits(
  { missingLimits }: OciRuntime,
  { PLINTH_CONTAINER_LIMITS: policy }: HostAgentConfig,
  logger: Logger,
): void {
  if (missingLimits.length > 0 && policy === 'required')
    throw new ConfigError([
      ...missingLimits.map(
        ({ limit, message }) => `containers can't be held to their limit of ${limit}, which is required: ${message}`,
      ),
      'set PLINTH_CONTAINER_LIMITS=preferred to run containers without it',
    ]);
  for (const { limit, message } of missingLimits)
    logger.warn({ limit, problem: message }, 'containers run without a limit that this machine can not hold');
}

/** @throws ConfigError when containers must have users of their own, and can't */
function openUsers(
  { PLINTH_USER_NAMESPACES: policy, PLINTH_ALLOW_HOST_USERS: allowHostUsers }: HostAgentConfig,
  runtime: OciRuntime,
  storage: StorageMounts,
  ownImages: string | undefined,
  logger: Logger,
): ContainerUsers {
  const users = new ContainerUsers(runtime, storage, policy, allowHostUsers, ownImages);
  const problems = users.problems();
  if (problems.length > 0 && policy === 'required')
    throw new ConfigError([
      ...problems.map((problem) => `PLINTH_USER_NAMESPACES is required, but ${problem}`),
      "set PLINTH_USER_NAMESPACES=preferred to run containers with the host's users where it can't be done",
    ]);
  for (const problem of problems) logger.warn({ problem }, "containers have the host's users");
  return users;
}

function hostReadiness(services: AgentServices, stateRoot: string): ReadinessCheck[] {
  const check = (name: string, path: string, mode: number): ReadinessCheck => ({
    name,
    check: () =>
      access(path, mode).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      ),
  });
  return [
    check('state-directory', stateRoot, constants.W_OK),
    check('runtime', services.containers.runtime.binary.path, constants.X_OK),
    ...[...services.storage].map(([node, path]) =>
      check(`storage-${node}`, join(path, services.supply ? 'volumes' : 'images'), constants.R_OK),
    ),
  ];
}

/**
 * Resolves symlinks, because the premount checks allow none. A mount that is not there yet keeps its path, and makes
 * the host unready.
 */
function realStorage(text: string): StorageMounts {
  const parsed = parseStorageMounts(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return new Map(
    [...parsed].map(([node, path]) => {
      try {
        return [node, realpathSync(path)];
      } catch (error) {
        if (isMissing(error)) return [node, path];
        throw error;
      }
    }),
  );
}

function loadOrExit(environment: NodeJS.ProcessEnv): HostAgentConfig {
  try {
    return loadConfig(HostAgentConfig, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`host-agent: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
}

async function lockOrExit(directory: string): Promise<{ release(): void }> {
  try {
    return await lockStateDirectory(directory);
  } catch (error) {
    if (!(error instanceof StateDirectoryError)) throw error;
    process.stderr.write(`host-agent: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
}
