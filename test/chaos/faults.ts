/** The faults: processes die, hang and are killed in the middle of their work; messages arrive twice and malformed. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { instanceName, sendSignal } from '@plinth/container-runtime';
import pg from 'pg';
import { containerCgroups, containerOf } from '../stack.js';
import { DISKS } from './disks.js';
import { APPS } from './installation.js';
import type { Fault, FaultContext } from './fault.js';
import { duplicate, late, malformed, oldConfig, oldReport } from './message-faults.js';
import type { Random } from './random.js';
import { LIES } from './repository-proxy.js';
import type { Workload } from './workload.js';

/** Kills a service of this kind; the machine's process supervisor starts it again, here `plinth up`. */
const killService =
  (name: string): Fault =>
  async ({ stack, random }) => {
    const service = random.pick(stack.file().services.filter((item) => item.name === name));
    if (!service || !sendSignal(service.pid, 'SIGKILL')) return undefined;
    await delay(random.between(0, 1_500));
    await stack.restart();
    return `${service.id} killed`;
  };

const freeze: Fault = async ({ stack, random }) => {
  const service = random.pick(stack.file().services.filter(({ name }) => name !== 'postgres'));
  if (!service || !sendSignal(service.pid, 'SIGSTOP')) return undefined;
  const ms = random.between(500, 6_000);
  await delay(ms);
  sendSignal(service.pid, 'SIGCONT');
  return `${service.id} frozen for ${ms} ms`;
};

/** Pids of monitors or first processes of this stack's containers. */
export function containerProcesses(
  home: string,
  kind: 'monitor' | 'init',
): { readonly pid: number; readonly id: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        const id = words[words.indexOf('-c') + 1] ?? '';
        if (!words[0]?.endsWith('conmon') || !words.some((word) => word.startsWith(home))) return [];
        if (kind === 'monitor') return [{ pid: Number(name), id }];
        const children = readFileSync(`/proc/${name}/task/${name}/children`, 'utf8').trim().split(' ').filter(Boolean);
        return children.map((child) => ({ pid: Number(child), id }));
      } catch (error) {
        // It ended in between.
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    });
}

const killProcess =
  (kind: 'monitor' | 'init'): Fault =>
  ({ stack, workload, random }) => {
    const victim = random.pick(containerProcesses(stack.home, kind));
    if (victim) workload.ended.add(victim.id);
    return Promise.resolve(
      victim && sendSignal(victim.pid, 'SIGKILL') ? `${kind} of ${victim.id.slice(0, 12)} killed` : undefined,
    );
  };

/**
 * Kills the monitors and every process in the cgroups of the host's containers: a container whose monitor was killed
 * before has no parent to find it by.
 */
function killContainers(home: string, host: string, workload: Workload): void {
  const ending = `.${instanceName(join(home, 'hosts', host, 'runtime'))}`;
  const inside = containerCgroups()
    .filter((path) => path.endsWith(ending))
    .flatMap((path) => processesOf(path).map((pid) => ({ pid, id: containerOf(path) })));
  for (const { pid, id } of [...containerProcesses(`${home}/hosts/${host}/`, 'monitor'), ...inside]) {
    workload.ended.add(id);
    sendSignal(pid, 'SIGKILL');
  }
}

function processesOf(cgroup: string): number[] {
  try {
    return readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch (error) {
    // It was removed in between.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** An agent dies together with everything that runs on its host. */
const killHost: Fault = async ({ stack, workload, random }) => {
  const agent = random.pick(stack.file().services.filter(({ name }) => name === 'host-agent'));
  if (!agent) return undefined;
  sendSignal(agent.pid, 'SIGKILL');
  const host = agent.id.replace('host-agent-', '');
  killContainers(stack.home, host, workload);
  await stack.restart();
  return `${host} with all its containers killed`;
};

function guardOf(home: string, host: string): number | undefined {
  const line = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .find((text) => text.includes('lease-guard.js') && text.endsWith(`${home}/hosts/${host}`));
  return line === undefined ? undefined : Number(line.trim().split(' ')[0]);
}

const pickHost = ({ stack, random }: FaultContext): { readonly agent: number; readonly host: string } | undefined => {
  const agent = random.pick(stack.file().services.filter(({ name }) => name === 'host-agent'));
  return agent && { agent: agent.pid, host: agent.id.replace('host-agent-', '') };
};

const killGuard: Fault = (context) => {
  const guard = guardOf(context.stack.home, pickHost(context)?.host ?? '');
  return Promise.resolve(guard !== undefined && sendSignal(guard, 'SIGKILL') ? 'lease guard killed' : undefined);
};

/** A host dies with everything on it, and comes back after its containers were started elsewhere. */
const loseHost: Fault = async (context) => {
  const { stack } = context;
  const found = pickHost(context);
  if (!found) return undefined;
  const { agent, host } = found;
  for (const pid of [agent, guardOf(stack.home, host) ?? 0]) if (pid > 0) sendSignal(pid, 'SIGKILL');
  killContainers(stack.home, host, context.workload);
  await delay(context.random.between(40_000, 60_000));
  await stack.restart();
  return `${host} lost for a minute`;
};

/**
 * An agent stands still until its host counts as lost. Its containers run on under a lease that its guard renews, so no
 * other host may start them.
 */
const silentHost: Fault = async (context) => {
  const found = pickHost(context);
  if (!found || !sendSignal(found.agent, 'SIGSTOP')) return undefined;
  const ms = context.random.between(18_000, 30_000);
  await delay(ms);
  sendSignal(found.agent, 'SIGCONT');
  return `${found.host} silent for ${ms} ms`;
};

/** A host is emptied, and something may die meanwhile; then it takes containers again. */
const drainHost: Fault = async (context) => {
  const { stack, random } = context;
  const found = pickHost(context);
  if (!found) return undefined;
  await stack.plinth('host', 'drain', found.host, '--parallel', '4', '--no-wait');
  const victim = random.pick(
    stack.file().services.filter(({ name }) => ['provisioner', 'host-agent', 'nats'].includes(name)),
  );
  const killed = random.between(0, 1) === 1 && victim !== undefined;
  await delay(random.between(0, 400));
  if (killed) sendSignal(victim.pid, 'SIGKILL');
  await delay(random.between(0, 2_000));
  await stack.restart();
  for (let attempt = 0; attempt < 5 && (await stack.plinth('host', 'uncordon', found.host)).code !== 0; attempt++)
    await delay(500);
  return `${found.host} drained${killed ? ` while ${victim.id} was killed` : ''}`;
};

/** Another agent is started for a host that has one: it has to refuse, and to change nothing. */
const secondAgent: Fault = async ({ stack, random, report }) => {
  const agent = random.pick(stack.file().services.filter(({ name }) => name === 'host-agent'));
  if (!agent) return undefined;
  const main = resolve(import.meta.dirname, '../../../apps/host-agent/dist/main.js');
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, ...agent.environment, PLINTH_HTTP_PORT: '0' },
    stdio: 'ignore',
  });
  const code = await Promise.race([
    new Promise<number | null>((done) => child.once('exit', done)),
    delay(20_000, 'still there' as const),
  ]);
  if (code === 'still there') child.kill('SIGKILL');
  if (code === 0 || code === 'still there') report(`a second agent of ${agent.id} ended with ${code}`);
  return `second agent for ${agent.id}`;
};

/** All connections but those in use are taken for some seconds. */
const exhaustDatabase: Fault = async ({ stack, random }) => {
  const clients: pg.Client[] = [];
  try {
    for (;;) {
      const client = new pg.Client({ connectionString: stack.file().databaseUrl });
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
    }
  } catch (error) {
    // 53300: too_many_connections
    if ((error as { code?: string }).code !== '53300' || clients.length === 0) return undefined;
    const ms = random.between(500, 6_000);
    await delay(ms);
    return `PostgreSQL out of connections for ${ms} ms`;
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
};

/**
 * The packets of one service's present connection to NATS are dropped silently: it is half open until one side gives
 * up.
 */
const cutConnection: Fault = async ({ stack, random }) => {
  const service = random.pick(stack.file().services.filter(({ name }) => name !== 'postgres' && name !== 'nats'));
  const natsPort = new URL(stack.file().natsUrl).port;
  const lines =
    spawnSync('ss', ['-tnpH', 'state', 'established', 'dport', `= :${natsPort}`], { encoding: 'utf8' }).stdout ?? '';
  const port = new RegExp(`:(\\d+) +\\S+:${natsPort} .*pid=${service?.pid},`).exec(
    lines.split('\n').find((line) => line.includes(`pid=${service?.pid},`)) ?? '',
  )?.[1];
  if (!service || port === undefined) return undefined;
  const rule = (verb: '-I' | '-D', side: '--sport' | '--dport'): boolean =>
    spawnSync('iptables', ['-w', verb, 'INPUT', '-i', 'lo', '-p', 'tcp', side, port, '-j', 'DROP']).status === 0;
  if (!rule('-I', '--sport')) return undefined;
  const ms = random.between(0, 3) === 0 ? 60_000 : random.between(2_000, 15_000);
  try {
    rule('-I', '--dport');
    await delay(ms);
  } finally {
    for (const side of ['--sport', '--dport'] as const) rule('-D', side);
  }
  return `${service.id} cut off from NATS for ${ms} ms`;
};

/** An image is built and promoted, and the services that work on it are killed in the middle. */
const interruptImage: Fault = async ({ stack, random }) => {
  const recipe = join(stack.home, 'recipe.yaml');
  writeFileSync(
    recipe,
    readFileSync(recipe, 'utf8').replace(/content: \w+/, `content: chaos${random.between(1, 1_000_000)}`),
  );
  const build = stack.plinth('image', 'build', recipe, '--json');
  const victim = random.between(0, 1) === 0 ? 'image-builder' : 'distributor';
  if (victim === 'image-builder') {
    await delay(random.between(0, 2_500));
    for (const { pid } of stack.file().services.filter(({ name }) => name === victim)) sendSignal(pid, 'SIGKILL');
    await delay(random.between(0, 500));
    await stack.restart();
    await build;
    return 'image-builder killed in a build';
  }
  const built = await build;
  if (built.code !== 0) return undefined;
  const { ref } = JSON.parse(built.stdout) as { ref: string };
  const promotion = stack.plinth('image', 'promote', ref, '--timeout', '60s');
  await delay(random.between(300, 1_200));
  for (const { pid } of stack.file().services.filter(({ name }) => name === victim)) sendSignal(pid, 'SIGKILL');
  await stack.restart();
  await promotion;
  return 'distributors killed in an extraction';
};

/**
 * An image is promoted while its downloads are corrupted; then the repository works again, and the nodes have to
 * recover without help.
 */
const lyingRepository: Fault = async ({ rig, stack, random, report }) => {
  const recipe = join(stack.home, 'recipe.yaml');
  writeFileSync(
    recipe,
    readFileSync(recipe, 'utf8').replace(/content: \w+/, `content: chaos${random.between(1, 1_000_000)}`),
  );
  const built = await stack.plinth('image', 'build', recipe, '--json');
  const lie = random.pick(LIES);
  if (built.code !== 0 || lie === undefined) return undefined;
  const { ref } = JSON.parse(built.stdout) as { ref: string };
  const before = rig.repository.lies;
  rig.repository.lie = lie;
  const promotion = stack.plinth('image', 'promote', ref, '--timeout', '1s');
  for (let waits = 0; waits < 50 && rig.repository.lies === before; waits++) await delay(200);
  await delay(random.between(0, 3_000));
  rig.repository.lie = undefined;
  await promotion;
  for (let attempt = 0; ; attempt++) {
    const nodes =
      (
        JSON.parse((await stack.plinth('image', 'ls', '--json')).stdout || '[]') as {
          name: string;
          version: string;
          storageNodes: string[];
        }[]
      ).find(({ name, version }) => `${name}@${version}` === ref)?.storageNodes ?? [];
    if (nodes.length === 2) break;
    if (attempt === 90) {
      report(`${ref} is only on ${nodes.join(', ') || 'no node'}, long after the repository worked again`);
      break;
    }
    await delay(1_000);
  }
  return `repository ${lie}: ${rig.repository.lies - before} answers for ${ref}`;
};

const fillDisk: Fault = async ({ rig, workload, random }) => {
  const disk = random.pick(DISKS);
  if (disk === undefined) return undefined;
  rig.disks.fill(disk);
  try {
    for (let acts = random.between(1, 3); acts > 0; acts--) {
      await workload.act();
      await delay(random.between(0, 2_000));
    }
  } finally {
    rig.disks.empty(disk);
  }
  return `disk of ${disk} full`;
};

const HOUR_MS = 3_600_000;

const moveClock: Fault = async ({ rig, workload, random }) => {
  const app = random.pick(APPS);
  if (app === undefined) return undefined;
  const byMs = random.between(0, 1) === 0 ? HOUR_MS : -HOUR_MS;
  rig.installation.moveClock(app, byMs);
  try {
    await delay(200);
    for (let acts = random.between(1, 3); acts > 0; acts--) {
      await workload.act();
      await delay(random.between(0, 3_000));
    }
  } finally {
    rig.installation.moveClock(app, 0);
  }
  return `clock of ${app} an hour ${byMs > 0 ? 'ahead' : 'behind'}, then back`;
};

/** A container whose mount script never ends: it is reported as failed, and can be removed. Others go on meanwhile. */
const hangingScript: Fault = ({ workload, report }) => {
  workload.hang(report);
  return Promise.resolve('a mount script hangs');
};

/** By kind, with how often each is chosen. */
export const FAULTS: Readonly<Record<string, { readonly weight: number; readonly inject: Fault }>> = {
  'provisioner killed': { weight: 30, inject: killService('provisioner') },
  'host agent killed': { weight: 30, inject: killService('host-agent') },
  'distributor killed': { weight: 10, inject: killService('distributor') },
  'image-builder killed': { weight: 5, inject: killService('image-builder') },
  'NATS killed': { weight: 20, inject: killService('nats') },
  'PostgreSQL killed': { weight: 10, inject: killService('postgres') },
  'service frozen': { weight: 25, inject: freeze },
  'host killed with its containers': { weight: 10, inject: killHost },
  'host lost for a minute': { weight: 1, inject: loseHost },
  'host silent for half a minute': { weight: 3, inject: silentHost },
  'host drained': { weight: 8, inject: drainHost },
  'lease guard killed': { weight: 20, inject: killGuard },
  'second agent for a host': { weight: 8, inject: secondAgent },
  'service cut off from NATS': { weight: 6, inject: cutConnection },
  'PostgreSQL out of connections': { weight: 8, inject: exhaustDatabase },
  'killed in a build or an extraction': { weight: 5, inject: interruptImage },
  'disk full': { weight: 10, inject: fillDisk },
  'repository lies': { weight: 4, inject: lyingRepository },
  'clock jumps': { weight: 10, inject: moveClock },
  'mount script hangs': { weight: 3, inject: hangingScript },
  'old config again': { weight: 12, inject: oldConfig },
  'old report again': { weight: 12, inject: oldReport },
  'container monitor killed': { weight: 25, inject: killProcess('monitor') },
  'container init killed': { weight: 30, inject: killProcess('init') },
  'message repeated': { weight: 30, inject: duplicate },
  'message late': { weight: 10, inject: late },
  'message malformed': { weight: 30, inject: malformed },
};

/** @param only part of the names of the kinds to choose from; empty: all */
export function chooseFault(random: Random, only = ''): { readonly kind: string; readonly inject: Fault } {
  const kinds = Object.entries(FAULTS)
    .filter(([kind]) => only === '' || only.split(',').some((part) => kind.includes(part)))
    .flatMap(([kind, { weight, inject }]) => Array.from({ length: weight }, () => ({ kind, inject })));
  const chosen = random.pick(kinds);
  if (!chosen) throw new Error('there are no faults');
  return chosen;
}
