/** All wiring of the host agent. */
import { access, constants } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type DynamicModule, Module } from '@nestjs/common';
import { OciRuntime } from '@plinth/container-runtime';
import { isFileLocked, isMissing, readBootId } from '@plinth/host-os';
import { TrustedKeys, TrustedKeysError } from '@plinth/image-trust';
import {
  agentExec,
  agentLogs,
  agentStats,
  type ContainerConfig,
  desiredConsumer,
  hostConsumers,
  type Problem,
} from '@plinth/contracts';
import {
  ConfigError,
  createLogger,
  loadConfig,
  type LastValueWatch,
  type Logger,
  natsReadiness,
  type ReadinessCheck,
  runService,
  type ServiceAssembly,
  type ServiceContext,
} from '@plinth/service-kit';
import { containerStats } from './adapters/container-stats.js';
import { ContainerLogs } from './adapters/container-logs.js';
import { ContainerStore } from './adapters/container-store.js';
import { DataVolumes } from './adapters/data-volume.js';
import { isDesired, watchDesiredState } from './adapters/desired-state-watch.js';
import { HostClock } from './adapters/host-clock.js';
import { startHeartbeat } from './adapters/heartbeat.js';
import { ImageMasters } from './adapters/image-master.js';
import { OciContainers } from './adapters/oci-containers.js';
import { runtimeVersion } from './adapters/runtime-version.js';
import { QueryServer } from './adapters/query-server.js';
import { ReportJournal } from './adapters/report-journal.js';
import { GUARD_LOCK } from './adapters/lease-files.js';
import { LeaseWatch } from './adapters/lease-watch.js';
import { lockStateDirectory, openStateDirectory, StateDirectoryError } from './adapters/state-directory.js';
import { HostAgentConfig } from './config.js';
import { FairQueue } from './domain/fair-queue.js';
import { emptyRecord, firstSequence } from './domain/local-record.js';
import { parseStorageMounts, type StorageMounts } from './domain/storage-mounts.js';
import { ExecHandler } from './handlers/exec.handler.js';
import { LogsHandler } from './handlers/logs.handler.js';
import { StatsHandler } from './handlers/stats.handler.js';
import { Fleet } from './reconcile/fleet.js';
import type { Hands } from './reconcile/hands.js';
import { HealthChecks } from './reconcile/health-checks.js';
import { removeAllContainers } from './reconcile/remove-all.js';
import { Reporter } from './reconcile/reporter.js';

/** A container that is down while it waits for a core is down for longer: one at a time where four starts would run. */
const STARTS_PER_HANDOVER = 4;
const REPORT_PATIENCE_MS = 2_000;
const GUARD_PATIENCE_MS = 10_000;
/** sysexits.h */
const EX_CONFIG = 78;

@Module({})
class HostAgentModule {}

/** What runs with or without NATS. */
interface Host {
  readonly fleet: Fleet;
  readonly hands: Hands;
  readonly keys: TrustedKeys;
  readonly runtimeName: string;
  readonly stateRoot: string;
  release(): void;
}

export async function run(): Promise<void> {
  let host: Host | undefined;
  await runService({
    name: 'host-agent',
    config: HostAgentConfig,
    consumers: ({ PLINTH_HOST }) => ({ request: hostConsumers(PLINTH_HOST), watcher: desiredConsumer(PLINTH_HOST) }),
    prepare: async ({ config, logger }) => {
      host = await openHost(config, logger);
      await host.hands.leases.open();
      await host.fleet.takeOver();
      const { fleet, hands } = host;
      hands.leases.start((storageNode) => fleet.endAllOn(storageNode));
    },
    assemble: (context) => {
      if (!host) throw new Error('assembled before it was prepared');
      return assemble(context, host);
    },
  });
}

export async function removeAll(): Promise<void> {
  const config = loadOrExit({
    PLINTH_SERVICE_ID: 'remove-all',
    PLINTH_STORAGE_MOUNTS: 'none=/none',
    PLINTH_TRUSTED_KEYS: '/none',
    ...process.env,
  });
  const logger = createLogger('host-agent', 'remove-all', config.LOG_LEVEL);
  const lock = lockOrExit(config.PLINTH_HOST_DIR);
  const state = await openStateDirectory(config.PLINTH_HOST_DIR, config.PLINTH_HOST);
  await removeAllContainers(
    new OciRuntime({ stateDirectory: state.runtime }),
    new ContainerStore(state.containers),
    logger,
  );
  lock.release();
  await guardGone(config.PLINTH_HOST_DIR);
}

/** It ends by itself when neither agent nor container is left. */
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

async function openHost(config: HostAgentConfig, logger: Logger): Promise<Host> {
  const keys = await openTrustedKeys(config.PLINTH_TRUSTED_KEYS, logger);
  const lock = lockOrExit(config.PLINTH_HOST_DIR);
  const state = await openStateDirectory(config.PLINTH_HOST_DIR, config.PLINTH_HOST);
  // conmon limits a log by itself too, for the flood between two looks; what it drops then is lost.
  const runtime = new OciRuntime({ stateDirectory: state.runtime, logLimitBytes: 4 * config.PLINTH_LOG_MAX_BYTES });
  logger.info(
    { runtime: runtime.binary.name, path: runtime.binary.path, reason: runtime.binary.reason },
    'container runtime chosen',
  );
  const storage = realStorage(config.PLINTH_STORAGE_MOUNTS);
  const reporter = new Reporter(config.PLINTH_HOST, new ReportJournal(state.reports), logger);
  const bootId = readBootId();
  const clock = await HostClock.open(state.root, bootId);
  const containers = new OciContainers(runtime, clock);
  const hands: Hands = {
    host: config.PLINTH_HOST,
    bootId,
    clock,
    allowHostNetwork: config.PLINTH_ALLOW_HOST_NETWORK,
    storage,
    store: new ContainerStore(state.containers),
    containers,
    images: new ImageMasters(storage, keys),
    volumes: new DataVolumes(storage),
    leases: new LeaseWatch({
      host: config.PLINTH_HOST,
      hostDirectory: state.root,
      storage,
      ttlSeconds: config.PLINTH_LEASE_SECONDS,
      bootId,
      logger,
    }),
    logs: new ContainerLogs(runtime, { maxBytes: config.PLINTH_LOG_MAX_BYTES, keep: config.PLINTH_LOG_KEEP }),
    reporter,
    starts: new FairQueue(config.PLINTH_START_CONCURRENCY),
    handovers: new FairQueue(Math.max(1, Math.floor(config.PLINTH_START_CONCURRENCY / STARTS_PER_HANDOVER))),
    health: new HealthChecks(containers, clock, config.PLINTH_HEALTH_CONCURRENCY, logger),
    logger,
  };
  return {
    fleet: new Fleet(hands),
    hands,
    keys,
    runtimeName: await runtimeVersion(runtime.binary.path),
    stateRoot: state.root,
    release: () => lock.release(),
  };
}

async function assemble(
  { config, logger, connection, publisher, consumers }: ServiceContext<HostAgentConfig>,
  host: Host,
): Promise<ServiceAssembly> {
  const { fleet, hands } = host;
  const queries = new QueryServer(connection, logger);
  const exec = new ExecHandler(hands.containers.runtime);
  const logs = new LogsHandler(hands.logs, (id) => fleet.has(id));
  const stats = new StatsHandler(
    () => fleet.running(),
    (id, pid) => containerStats(hands.containers.runtime, id, pid),
  );
  const sink = {
    accept: (value: ContainerConfig, cause: { correlationId: string; causationId: string }) =>
      fleet.accept(value, cause),
    refuse: (id: string | undefined, generation: number, problems: readonly Problem[]) => {
      if (id !== undefined && !fleet.has(id)) reportRefused(hands, id, generation, problems);
    },
  };
  let stop = async (): Promise<void> => undefined;
  let watch: LastValueWatch | undefined;
  const desiredState: ReadinessCheck = {
    name: 'desired-state',
    check: async () => (watch ? watch.problem() : 'not asked for yet'),
  };
  return {
    module: { module: HostAgentModule } satisfies DynamicModule,
    readiness: [
      natsReadiness(connection),
      desiredState,
      { name: 'leases', check: () => Promise.resolve(hands.leases.problem()) },
      ...hostReadiness(host),
    ],
    start: async () => {
      hands.reporter.attach(publisher);
      fleet.clearTombstones((id) => isDesired(connection, config.PLINTH_HOST, id));
      const opened = watchDesiredState(connection, consumers, config.PLINTH_HOST, sink, logger);
      watch = opened;
      queries.stream(agentExec(config.PLINTH_HOST), (query, reply) => exec.handle(query, reply));
      queries.stream(agentLogs(config.PLINTH_HOST), (query, reply) => logs.handle(query, reply));
      queries.serve(agentStats(config.PLINTH_HOST), (query) => stats.handle(query));
      const heartbeat = startHeartbeat(connection, {
        host: config.PLINTH_HOST,
        datacenter: config.PLINTH_DATACENTER,
        storageNodes: [...hands.storage.keys()],
        capacity: {
          memoryBytes: config.PLINTH_CAPACITY_MEMORY_BYTES,
          cpus: config.PLINTH_CAPACITY_CPUS,
          containers: config.PLINTH_CAPACITY_CONTAINERS,
        },
        runtime: host.runtimeName,
        periodMs: config.PLINTH_HEARTBEAT_SECONDS * 1000,
        runningContainers: () => fleet.running().length,
      });
      void announceAfterReconnects(connection, fleet);
      stop = async () => {
        heartbeat.close();
        queries.close();
        await opened.close();
        hands.leases.close();
        await fleet.close();
        await hands.health.close();
        hands.containers.close();
        await hands.reporter.close(REPORT_PATIENCE_MS);
        host.release();
      };
    },
    stop: () => stop(),
  };
}

/** The bus may have lost what it had acknowledged: present states are said again. */
async function announceAfterReconnects(
  connection: ServiceContext<HostAgentConfig>['connection'],
  fleet: Fleet,
): Promise<void> {
  for await (const status of connection.status()) if (status.type === 'reconnect') fleet.announceAll();
}

/** A config that can't be read and whose container this host does not know. */
function reportRefused(hands: Hands, containerId: string, generation: number, problems: readonly Problem[]): void {
  const message =
    `the config is not valid: ${problems.map((problem) => `${problem.path}: ${problem.message}`).join('; ')}`.slice(
      0,
      4000,
    );
  const sequence = firstSequence(emptyRecord(hands.bootId), hands.clock.now());
  hands.reporter
    .send({
      kind: 'failed',
      host: hands.host,
      containerId,
      generation,
      sequence,
      at: new Date().toISOString(),
      reason: 'internal-error',
      message,
    })
    .catch((error: unknown) => hands.logger.error({ err: error, containerId }, 'refusal could not be reported'));
}

function hostReadiness({ hands, keys, stateRoot }: Host): ReadinessCheck[] {
  const check = (name: string, path: string, mode: number): ReadinessCheck => ({
    name,
    check: () =>
      access(path, mode).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      ),
  });
  return [
    { name: 'trusted-keys', check: () => keys.problem() },
    check('state-directory', stateRoot, constants.W_OK),
    check('runtime', hands.containers.runtime.binary.path, constants.X_OK),
    ...[...hands.storage].map(([node, path]) => check(`storage-${node}`, join(path, 'images'), constants.R_OK)),
  ];
}

/** Without symlinks on the way: the premount checks allow none. A mount that is not there yet keeps its name, and makes the host unready. */
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

function lockOrExit(directory: string): { release(): void } {
  try {
    return lockStateDirectory(directory);
  } catch (error) {
    if (!(error instanceof StateDirectoryError)) throw error;
    process.stderr.write(`host-agent: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
}
