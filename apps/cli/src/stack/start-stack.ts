/** Starts what of a stack does not run yet: servers, then services, each waited for. */
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { freePort, isAlive, spawnServer, startNatsServer, startPostgresServer, waitUntilReady } from '@plinth/local-servers';
import { ensureSigningKeys } from './signing-keys.js';
import { installationDirectory, readStack, type RunningService, type StackFile, writeStack } from './stack-file.js';
import { type PlannedService, planStack, storageDirectory } from './stack-plan.js';

export interface StartOptions {
  readonly home: string;
  readonly hosts: number;
  readonly storageNodes: number;
  /** One line per thing started. */
  readonly onProgress: (line: string) => void;
}

const READY_MS = 60_000;

export async function startStack(options: StartOptions): Promise<{ readonly stack: StackFile; readonly started: number }> {
  const { home, onProgress } = options;
  mkdirSync(join(home, 'logs'), { recursive: true });
  const before = readStack(home);
  const alive = (before?.services ?? []).filter((service) => isAlive({ pid: service.pid, startTime: service.pidStartTime }));
  let stack: StackFile = { natsUrl: before?.natsUrl ?? '', databaseUrl: before?.databaseUrl ?? '', home, services: alive };
  let started = 0;
  const add = (service: RunningService, change: Partial<StackFile> = {}): void => {
    stack = { ...stack, ...change, services: [...stack.services, service] };
    // After every process: whatever happens now, `down` knows it.
    writeStack(home, stack);
    started++;
  };
  const timed = async <T>(label: string, work: () => Promise<T>): Promise<T> => {
    const begin = performance.now();
    const result = await work();
    onProgress(`${label.padEnd(24)} ready  ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    return result;
  };

  if (process.env.NATS_URL) stack = { ...stack, natsUrl: process.env.NATS_URL };
  else if (!alive.some((service) => service.name === 'nats')) {
    await timed('nats-server', async () => {
      const port = portOf(before?.natsUrl) ?? (await freePort());
      const nats = await startNatsServer({ directory: join(home, 'nats'), port, life: 'background' });
      add(serverEntry('nats', nats.identity, nats.logFile), { natsUrl: nats.url });
    });
  }
  if (process.env.DATABASE_URL) stack = { ...stack, databaseUrl: process.env.DATABASE_URL };
  else if (!alive.some((service) => service.name === 'postgres')) {
    await timed('postgres', async () => {
      const port = portOf(before?.databaseUrl) ?? (await freePort());
      const postgres = await startPostgresServer({ directory: join(home, 'postgres'), port, life: 'background' });
      add(serverEntry('postgres', postgres.identity, postgres.logFile), { databaseUrl: postgres.url });
    });
  }
  ensureSigningKeys(home);
  const plan = planStack({
    home,
    installation: installationDirectory(),
    hosts: options.hosts,
    storageNodes: options.storageNodes,
    natsUrl: stack.natsUrl,
    databaseUrl: stack.databaseUrl,
    logLevel: process.env.LOG_LEVEL ?? 'info',
    memoryBytes: totalmem(),
    cpus: cpus().length,
  });
  const missing = plan.filter((service) => !alive.some((running) => running.id === service.id));
  for (const service of missing) for (const directory of service.directories) mkdirSync(directory, { recursive: true });
  shipSoftware(home, options.storageNodes);
  for (const service of missing) await timed(service.id, async () => add(await startService(service, home)));
  writeStack(home, stack);
  return { stack, started };
}

function serverEntry(name: string, identity: { pid: number; startTime: string }, logFile: string): RunningService {
  return { name, id: name, pid: identity.pid, pidStartTime: identity.startTime, health: null, logFile, environment: {} };
}

async function startService(service: PlannedService, home: string): Promise<RunningService> {
  const port = await freePort();
  const environment = service.environment(port);
  const logFile = join(home, 'logs', `${service.id}.log`);
  const health = `http://127.0.0.1:${port}/health/ready`;
  const identity = await spawnServer({
    argv: [process.execPath, '--enable-source-maps', service.main],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', ...environment },
    logFile,
    life: 'background',
  });
  await waitUntilReady(service.id, identity, logFile, READY_MS, () => isReady(health));
  return { name: service.app, id: service.id, pid: identity.pid, pidStartTime: identity.startTime, health, logFile, environment };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch (error) {
    // Not listening yet.
    if (error instanceof TypeError || (error as Error).name === 'TimeoutError') return false;
    throw error;
  }
}

/** The demonstration's software, into each software repository that lacks it. */
function shipSoftware(home: string, storageNodes: number): void {
  const source = join(installationDirectory(), 'demo', 'software');
  if (!existsSync(source)) return;
  for (let node = 1; node <= storageNodes; node++) {
    for (const name of readdirSync(source)) {
      const target = join(storageDirectory(home, `sn-${node}`), 'software', name);
      if (!existsSync(target)) cpSync(join(source, name), target, { recursive: true });
    }
  }
}

/** The same port as before where a stack is started again, so that clients need not be told. */
function portOf(url: string | undefined): number | undefined {
  if (!url) return undefined;
  const port = Number(new URL(url).port);
  return port > 0 ? port : undefined;
}
