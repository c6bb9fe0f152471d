/** What goes wrong, as it does in the world: processes die, hang and are killed in the middle of whatever they do; messages come twice and broken. */
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '../stack.js';
import type { Random } from './random.js';
import type { Workload } from './workload.js';

export interface FaultContext {
  readonly stack: Stack;
  readonly workload: Workload;
  readonly random: Random;
}

/** @returns what was done, for the log; undefined: there was nothing that it could be done to */
export type Fault = (context: FaultContext) => Promise<string | undefined>;

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // It ended before.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Kills a service of this kind; what starts it again is the machine's process supervisor, here `plinth up`. */
const killService = (name: string): Fault => async ({ stack, random }) => {
  const service = random.pick(stack.file().services.filter((item) => item.name === name));
  if (!service || !kill(service.pid, 'SIGKILL')) return undefined;
  await delay(random.between(0, 1_500));
  await stack.restart();
  return `${service.id} killed`;
};

const freeze: Fault = async ({ stack, random }) => {
  const service = random.pick(stack.file().services.filter(({ name }) => name !== 'postgres'));
  if (!service || !kill(service.pid, 'SIGSTOP')) return undefined;
  const ms = random.between(500, 6_000);
  await delay(ms);
  kill(service.pid, 'SIGCONT');
  return `${service.id} frozen for ${ms} ms`;
};

/** Pids of monitors or first processes of this stack's containers. */
export function containerProcesses(home: string, kind: 'monitor' | 'init'): { readonly pid: number; readonly id: string }[] {
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
        // It ended while we looked.
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    });
}

const killProcess = (kind: 'monitor' | 'init'): Fault => ({ stack, random }) => {
  const victim = random.pick(containerProcesses(stack.home, kind));
  return Promise.resolve(victim && kill(victim.pid, 'SIGKILL') ? `${kind} of ${victim.id.slice(0, 12)} killed` : undefined);
};

/** An agent dies together with everything that runs on its host. */
const killHost: Fault = async ({ stack, random }) => {
  const agent = random.pick(stack.file().services.filter(({ name }) => name === 'host-agent'));
  if (!agent) return undefined;
  kill(agent.pid, 'SIGKILL');
  const host = agent.id.replace('host-agent-', '');
  for (const kind of ['monitor', 'init'] as const) for (const { pid } of containerProcesses(`${stack.home}/hosts/${host}/`, kind)) kill(pid, 'SIGKILL');
  await stack.restart();
  return `${host} with all its containers killed`;
};

const duplicate: Fault = async ({ workload }) => {
  const id = await workload.repeat();
  return id && `request ${id.slice(0, 12)} sent again`;
};

const MALFORMED = ['', '{', 'null', '[]', '"text"', '{"name":7}', '{"name":"Bad Name"}', '{"name":"x","limits":{"memoryBytes":-1}}', `{"name":"${'x'.repeat(5_000)}"}`, '{"__proto__":{"name":"x"}}', '\u0000\u0001'];
const malformed: Fault = async ({ workload, random }) => {
  const body = random.pick(MALFORMED) ?? '';
  await workload.publishRaw('container.requested', body);
  return `malformed request ${JSON.stringify(body.slice(0, 40))}`;
};

/** By kind, with how often each is chosen. */
export const FAULTS: Readonly<Record<string, { readonly weight: number; readonly inject: Fault }>> = {
  'provisioner killed': { weight: 3, inject: killService('provisioner') },
  'host agent killed': { weight: 3, inject: killService('host-agent') },
  'distributor killed': { weight: 1, inject: killService('distributor') },
  'image-builder killed': { weight: 1, inject: killService('image-builder') },
  'NATS killed': { weight: 2, inject: killService('nats') },
  'PostgreSQL killed': { weight: 1, inject: killService('postgres') },
  'service frozen': { weight: 3, inject: freeze },
  'host killed with its containers': { weight: 1, inject: killHost },
  'container monitor killed': { weight: 2, inject: killProcess('monitor') },
  'container init killed': { weight: 3, inject: killProcess('init') },
  'message repeated': { weight: 3, inject: duplicate },
  'message malformed': { weight: 3, inject: malformed },
};

export function chooseFault(random: Random): { readonly kind: string; readonly inject: Fault } {
  const kinds = Object.entries(FAULTS).flatMap(([kind, { weight, inject }]) => Array.from({ length: weight }, () => ({ kind, inject })));
  const chosen = random.pick(kinds);
  if (!chosen) throw new Error('there are no faults');
  return chosen;
}
