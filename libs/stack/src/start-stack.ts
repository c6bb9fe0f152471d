/** Starts what of a stack does not run yet: servers, then services, each waited for. */
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import {
  endProcess,
  freePort,
  isAlive,
  type ProcessIdentity,
  spawnServer,
  startNatsServer,
  startPostgresServer,
  waitUntilReady,
} from '@plinth/local-servers';
import { CNI_DIRECTORIES, CniNetwork } from '@plinth/cni';
import { ADDRESS_POOL } from '@plinth/contracts';
import { accessFile, addMembers, ensureDownloadToken, seedFile } from '@plinth/bus-access';
import { reloadAccess } from '@plinth/bus-access';
import { partOfPool, routedNetworks, unusablePools } from './address-pool.js';
import { ensureConsoleSecret } from './console-link.js';
import { ensureSigningKeys } from './signing-keys.js';
import { installationDirectory, readStack, type RunningService, type StackFile, writeStack } from './stack-file.js';
import { type PlannedService, planStack, stackAccessDirectory, stackMembers, storageDirectory } from './stack-plan.js';

export interface StartOptions {
  readonly home: string;
  readonly hosts: number;
  readonly storageNodes: number;
  /** Where hosts that are started now have images from; absent: on the storage nodes. */
  readonly images?: 'attached' | 'own';
  readonly withoutConsole?: boolean;
  /** Network configuration list of CNI; false: none; absent: as PLINTH_CNI_CONFIG has it, else as before. */
  readonly cni?: string | false | undefined;
  /** One line per thing started. */
  readonly onProgress: (line: string) => void;
  /** Nothing more is started after it; what runs by then is in the stack file. */
  readonly signal?: AbortSignal;
}

/**
 * Those of a stage are started at the same time. The provisioner makes the streams that all others need; a host finds
 * its storage in order.
 */
const STAGES: readonly (readonly PlannedService['app'][])[] = [
  ['provisioner'],
  ['image-builder', 'distributor', 'console'],
  ['host-agent'],
];
const READY_MS = 60_000;
const GRACE_MS = 15_000;
/** For each plugin's list of versions. */
const CNI_PATIENCE_MS = 20_000;

/**
 * Starts what is missing and waits until it is ready.
 * @returns the whole stack, and how many processes were started now
 */
export async function startStack(
  options: StartOptions,
): Promise<{ readonly stack: StackFile; readonly started: number }> {
  const { home, onProgress } = options;
  const before = readStack(home);
  const alive = (before?.services ?? []).filter((service) =>
    isAlive({ pid: service.pid, startTime: service.pidStartTime }),
  );
  // Dead ones stay listed until they are replaced: a dead agent's containers may live, and `down` needs its
  // environment.
  let stack: StackFile = {
    natsUrl: before?.natsUrl ?? '',
    nkeyFile: before?.nkeyFile ?? null,
    databaseUrl: before?.databaseUrl ?? '',
    home,
    ...(before?.addressPool !== undefined && { addressPool: before.addressPool }),
    services: before?.services ?? [],
  };
  const pool = addressPool(home, before);
  const cniConfig = cniConfiguration(options.cni, before);
  const problems = [
    ...poolProblems(pool, stack.addressPool, cniConfig, alive),
    ...(await cniProblems(cniConfig, before?.cniConfig, alive)),
  ];
  if (problems.length > 0) throw new Error(`nothing was started: ${problems.join('\n')}`);
  if (cniConfig !== undefined) stack = { ...stack, cniConfig };
  mkdirSync(join(home, 'logs'), { recursive: true });
  let started = 0;
  // It is recorded before it is waited for: `down` finds it in every case.
  const add = (service: RunningService): void => {
    stack = { ...stack, services: [...stack.services.filter((other) => other.id !== service.id), service] };
    writeStack(home, stack);
    started++;
  };
  const timed = async <T>(label: string, work: () => Promise<T>): Promise<T> => {
    options.signal?.throwIfAborted();
    const begin = performance.now();
    const result = await work();
    onProgress(`${label.padEnd(24)} ready  ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    return result;
  };

  const accessDirectory = busAccess(home);
  if (accessDirectory !== undefined) {
    const added = addMembers(accessDirectory, stackMembers(options.hosts, options.storageNodes));
    stack = { ...stack, nkeyFile: seedFile(accessDirectory, { kind: 'operator' }) };
    const nats = alive.find((service) => service.name === 'nats');
    if (added.length > 0 && nats) await reloadAccess({ pid: nats.pid, startTime: nats.pidStartTime }, nats.logFile);
  } else stack = { ...stack, nkeyFile: null };
  const servers: (() => Promise<void>)[] = [];
  if (process.env.NATS_URL) stack = { ...stack, natsUrl: process.env.NATS_URL };
  else if (!alive.some((service) => service.name === 'nats')) {
    const startNats = async (): Promise<void> => {
      const port = await serverPort(before?.natsUrl);
      const onSpawned = (identity: ProcessIdentity, logFile: string): void =>
        add(serverEntry('nats', identity, logFile));
      const nats = await startNatsServer({
        directory: join(home, 'nats'),
        port,
        life: 'background',
        includes: [accessFile(stackAccessDirectory(home))],
        onSpawned,
      });
      stack = { ...stack, natsUrl: nats.url };
    };
    servers.push(() => timed('nats-server', startNats));
  }
  if (process.env.DATABASE_URL) stack = { ...stack, databaseUrl: process.env.DATABASE_URL };
  else if (!alive.some((service) => service.name === 'postgres')) {
    const startPostgres = async (): Promise<void> => {
      const port = await serverPort(before?.databaseUrl);
      const onSpawned = (identity: ProcessIdentity, logFile: string): void =>
        add(serverEntry('postgres', identity, logFile));
      const postgres = await startPostgresServer({
        directory: join(home, 'postgres'),
        port,
        life: 'background',
        onSpawned,
      });
      stack = { ...stack, databaseUrl: postgres.url };
    };
    servers.push(() => timed('postgres', startPostgres));
  }
  await together(servers);
  // A service that runs keeps the addresses it was started with.
  const moved = alive.filter(
    ({ environment }) =>
      (environment.NATS_URL ?? stack.natsUrl) !== stack.natsUrl ||
      (environment.DATABASE_URL ?? stack.databaseUrl) !== stack.databaseUrl,
  );
  for (const service of moved)
    await endProcess({ pid: service.pid, startTime: service.pidStartTime }, 'SIGTERM', GRACE_MS);
  await ensureSigningKeys(home);
  ensureDownloadToken(stackAccessDirectory(home));
  ensureConsoleSecret(home);
  const whole = planStack({
    home,
    installation: installationDirectory(),
    hosts: options.hosts,
    storageNodes: options.storageNodes,
    ...(options.images && { images: options.images }),
    cniConfig,
    natsUrl: stack.natsUrl,
    accessDirectory,
    databaseUrl: stack.databaseUrl,
    logLevel: process.env.LOG_LEVEL ?? 'info',
    memoryBytes: totalmem(),
    cpus: cpus().length,
  });
  const plan = options.withoutConsole ? whole.filter(({ app }) => app !== 'console') : whole;
  const missing = plan.filter(
    (service) => moved.some((ended) => ended.id === service.id) || !alive.some((running) => running.id === service.id),
  );
  for (const service of missing) for (const directory of service.directories) mkdirSync(directory, { recursive: true });
  shipSoftware(home, options.storageNodes);
  const ports = await portsFor(missing, home);
  for (const stage of STAGES) {
    await together(
      missing
        .filter(({ app }) => stage.includes(app))
        .map((service) => () => timed(service.id, () => startService(service, ports, home, pool, options.signal, add))),
    );
    // A provisioner refuses a pool that does not have the addresses in use: then the one before it stays.
    stack = { ...stack, ...(pool !== undefined && { addressPool: pool }) };
  }
  writeStack(home, stack);
  return { stack, started };
}

/** Names of what runs of the stack in this directory. */
export function runningIds(home: string): readonly string[] {
  const services = readStack(home)?.services ?? [];
  return services.filter(({ pid, pidStartTime }) => isAlive({ pid, startTime: pidStartTime })).map(({ id }) => id);
}

/**
 * What a person sets, and what was set before; a new installation gets a part of the default pool. With a database of
 * its own choice the pool may have been set already.
 */
function addressPool(home: string, before: StackFile | undefined): string | undefined {
  const { PLINTH_ADDRESS_POOL: set, DATABASE_URL: database } = process.env;
  if (set) return set;
  // Hosts start after the provisioner, which refuses a pool that can't be used.
  if (before?.addressPool !== undefined || before?.services.some(({ name }) => name === 'host-agent'))
    return before.addressPool;
  return database ? undefined : partOfPool(home, routedNetworks());
}

function cniConfiguration(wanted: string | false | undefined, before: StackFile | undefined): string | undefined {
  if (wanted === false) return undefined;
  const file = wanted ?? (process.env.PLINTH_CNI_CONFIG || before?.cniConfig);
  return file === undefined ? undefined : resolve(file);
}

/** Before anything is started: else the services would refuse it, beside a stack that is up otherwise. */
function poolProblems(
  pool: string | undefined,
  before: string | undefined,
  cni: string | undefined,
  alive: readonly RunningService[],
): readonly string[] {
  if (runs(alive, 'provisioner') && pool !== before)
    return [
      `PLINTH_ADDRESS_POOL: the stack runs with ${before ?? ADDRESS_POOL}; end it before you change that: plinth down`,
    ];
  if (runs(alive, 'host-agent') || cni !== undefined) return [];
  return unusablePools({ PLINTH_ADDRESS_POOL: pool, PLINTH_ADDRESS_POOL6: process.env.PLINTH_ADDRESS_POOL6 });
}

async function cniProblems(
  file: string | undefined,
  before: string | undefined,
  alive: readonly RunningService[],
): Promise<readonly string[]> {
  if (runs(alive, 'host-agent') && file !== before)
    return [
      `the network of containers is ${before ?? "plinth's own"}; end the stack before you change that: plinth down`,
    ];
  if (file === undefined) return [];
  const path = (process.env.PLINTH_CNI_PATH ?? CNI_DIRECTORIES).split(':');
  const network = await CniNetwork.open(file, { path, timeoutMs: CNI_PATIENCE_MS, within: [] });
  return network instanceof CniNetwork ? [] : network;
}

const runs = (alive: readonly RunningService[], name: string): boolean =>
  alive.some((service) => service.name === name);

/** An external server has rules only where a directory for it is named. */
function busAccess(home: string): string | undefined {
  return process.env.NATS_URL ? process.env.PLINTH_ACCESS_DIR || undefined : stackAccessDirectory(home);
}

function serverEntry(name: string, identity: { pid: number; startTime: string }, logFile: string): RunningService {
  return {
    name,
    id: name,
    pid: identity.pid,
    pidStartTime: identity.startTime,
    health: null,
    logFile,
    environment: {},
  };
}

/**
 * What the user decides, not the plan: where images' packages come from, whether what leaves a service is checked, whose
 * ids the users of containers have, and the containers' addresses and ports.
 */
function fromPerson(): Record<string, string> {
  const names = [
    ...['PLINTH_DEBIAN_MIRROR', 'PLINTH_DEBIAN_SNAPSHOTS', 'PLINTH_CHECK_CONTRACTS'],
    ...['PLINTH_USER_NAMESPACES', 'PLINTH_ALLOW_HOST_USERS', 'PLINTH_CONTAINER_LIMITS'],
    ...['PLINTH_ADDRESS_POOL', 'PLINTH_ADDRESS_POOL6', 'PLINTH_PORT_RANGE', 'PLINTH_DEFAULT_NETWORK'],
    ...['PLINTH_CNI_PATH', 'PLINTH_DOMAIN', 'PLINTH_NETWORK_TUNNEL'],
  ];
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      names.includes(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
}

interface ServicePorts {
  readonly health: number;
  readonly downloads: number;
}

/** All ports before the first start: two services that look for one at the same time may find the same. */
async function portsFor(services: readonly PlannedService[], home: string): Promise<ReadonlyMap<string, ServicePorts>> {
  const former = readStack(home)?.services ?? [];
  const taken = new Set<number>();
  const free = async (wanted = 0): Promise<number> => {
    let port = await freePort(wanted);
    while (taken.has(port)) port = await freePort();
    taken.add(port);
    return port;
  };
  const found = new Map<string, ServicePorts>();
  for (const { id } of services) {
    // The port stays the same where it can: addresses of promoted images stay right.
    const before = former.find((other) => other.id === id)?.environment.PLINTH_DOWNLOAD_PORT;
    // The console's own, so that a page that is open goes on.
    const http = id.startsWith('console-') ? former.find((other) => other.id === id)?.environment.PLINTH_HTTP_PORT : 0;
    found.set(id, { downloads: await free(Number(before ?? 0)), health: await free(Number(http ?? 0)) });
  }
  return found;
}

/** Does all of it at the same time. @throws the first error, when all have ended */
async function together(work: readonly (() => Promise<void>)[]): Promise<void> {
  const results = await Promise.allSettled(work.map((start) => start()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function startService(
  service: PlannedService,
  ports: ReadonlyMap<string, ServicePorts>,
  home: string,
  pool: string | undefined,
  signal: AbortSignal | undefined,
  add: (service: RunningService) => void,
): Promise<void> {
  const own = ports.get(service.id);
  if (!own) throw new Error(`no ports for ${service.id}`);
  const environment = service.environment(own.health, own.downloads);
  const logFile = join(home, 'logs', `${service.id}.log`);
  const health = `http://127.0.0.1:${own.health}/health/ready`;
  const identity = await spawnServer({
    argv: [process.execPath, service.main],
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8' },
      ...fromPerson(),
      ...(pool !== undefined && { PLINTH_ADDRESS_POOL: pool }),
      ...environment,
    },
    logFile,
    life: 'background',
  });
  add({
    name: service.app,
    id: service.id,
    pid: identity.pid,
    pidStartTime: identity.startTime,
    health,
    logFile,
    environment,
  });
  await waitUntilReady(service.id, identity, logFile, READY_MS, () => {
    signal?.throwIfAborted();
    return isReady(health);
  });
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch (error) {
    // It does not listen yet.
    if (error instanceof TypeError || (error as Error).name === 'TimeoutError') return false;
    throw error;
  }
}

/** The demonstration's software, as it is in this release, into each software repository. */
function shipSoftware(home: string, storageNodes: number): void {
  const source = join(installationDirectory(), 'demo', 'software');
  if (!existsSync(source)) return;
  for (let node = 1; node <= storageNodes; node++) {
    for (const name of readdirSync(source)) {
      const target = join(storageDirectory(home, `sn-${node}`), 'software', name);
      cpSync(join(source, name), target, { recursive: true });
    }
  }
}

/**
 * The same port as before where a stack is started again, so that clients need no change; another one if another
 * process has taken it.
 */
function serverPort(url: string | undefined): Promise<number> {
  return freePort(url ? Number(new URL(url).port) : 0);
}
