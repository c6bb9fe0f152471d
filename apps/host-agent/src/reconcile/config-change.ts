/** Brings a changed config into effect for a container that runs, as far as that goes without a start. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerConfig, PendingPart } from '@plinth/contracts';
import { ioResources } from '../adapters/io-controls.js';
import type { DiskUse } from '../adapters/volume-limits.js';
import type { AgentServices } from './agent-services.js';

type Needs = Pick<AgentServices, 'containers' | 'networks' | 'volumes' | 'io'>;

/** Another container of this host may be about to give up a port. */
const PORT_ATTEMPTS = 10;
const PORT_PAUSE_MS = 200;
const MIB = 1024 ** 2;

const AT_NEXT_START = 'its next start has it';

/** Idempotent. @returns the parts of the config that the run does not have */
export async function applyConfig(config: ContainerConfig, pid: number, services: Needs): Promise<PendingPart[]> {
  return [...limits(config, services), ...(await network(config, pid, services))];
}

function limits(config: ContainerConfig, { containers, volumes, io }: Needs): PendingPart[] {
  const { containerId, storageNode } = config;
  const { memoryBytes, cpus, pids, openFiles } = config.limits;
  const disk = io.disks.get(storageNode);
  const held = ioResources(config.limits.io, disk, io.controls);
  const refused = containers.changeLimits(containerId, { memoryBytes, cpus, pids, io: held }, disk ? [disk] : []);
  const pending: PendingPart[] = refused.map(({ limit, message }) => ({
    part: limit,
    message: text(containers.holds(limit) ? `${message}; ${AT_NEXT_START}` : message),
  }));
  const missing = Object.keys(config.limits.io ?? {}).some((key) => held?.[key as keyof typeof held] === undefined);
  if (missing) pending.push({ part: 'io', message: 'this host can not hold all of it: see plinth hosts' });
  const unheld = volumes.holdAgain(config) ?? tooFull(volumes.use(config));
  if (unheld !== undefined) pending.push({ part: 'disk', message: text(unheld) });
  const effective = openFiles === undefined ? undefined : Math.min(openFiles, io.mostOpenFiles);
  if (containers.openFilesOf(containerId) !== effective)
    pending.push({ part: 'open-files', message: `a process keeps what it was started with; ${AT_NEXT_START}` });
  return pending;
}

/** Its data stay: it may be made to hold less only by its own programs. */
function tooFull(use: DiskUse | undefined): string | undefined {
  if (use === undefined || use.usedBytes <= use.limitBytes) return undefined;
  const [used, limit] = [use.usedBytes, use.limitBytes].map((bytes) => `${(bytes / MIB).toFixed(1)} MiB`);
  return `the volume holds ${used}, more than ${limit}: nothing can be written to it until files of it are removed`;
}

async function network(config: ContainerConfig, pid: number, { networks }: Needs): Promise<PendingPart[]> {
  for (let attempt = 1; ; attempt++) {
    const failure = networks.change(config, pid);
    if (failure === undefined) return [];
    if (failure.reason === 'port-taken' && attempt < PORT_ATTEMPTS) {
      await delay(PORT_PAUSE_MS);
      continue;
    }
    const { part, needsStart } = failure;
    const message = text(`${failure.message}; ${needsStart ? AT_NEXT_START : 'it is tried again'}`);
    return part === undefined
      ? (['ports', 'egress', 'bandwidth'] as const).map((each) => ({ part: each, message }))
      : [{ part, message }];
  }
}

const text = (message: string): string => message.replaceAll(/[^\P{Cc}\n]/gu, ' ').slice(0, 500);
