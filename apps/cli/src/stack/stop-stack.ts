/** Stops a stack and looks afterwards whether anything of it is left. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endProcess, isAlive, substituteDirectory } from '@plinth/local-servers';
import { installationDirectory, readStack, type RunningService, writeStack } from './stack-file.js';

const run = promisify(execFile);
const GRACE_MS = 15_000;

export interface StopReport {
  readonly stopped: number;
  /** What is still there, for people; empty when nothing is. */
  readonly left: readonly string[];
}

export async function stopStack(home: string, options: { readonly data: boolean; readonly onProgress: (line: string) => void }): Promise<StopReport> {
  const stack = readStack(home);
  const services = [...(stack?.services ?? [])].reverse();
  let stopped = 0;
  // Agents first, so that nothing starts a container again while the others go; servers last, as everything needs them.
  for (const service of services) {
    const how = await endProcess({ pid: service.pid, startTime: service.pidStartTime }, service.name === 'postgres' ? 'SIGINT' : 'SIGTERM', GRACE_MS);
    if (how !== 'gone') stopped++;
    if (service.name === 'host-agent') await removeContainers(service);
    options.onProgress(`${service.id.padEnd(24)} ${how === 'gone' ? 'was not running' : how}`);
  }
  const left = leftovers(home, services);
  if (stack && left.length === 0) writeStack(home, { ...stack, services: [] });
  if (options.data && left.length === 0) {
    rmSync(substituteDirectory(join(home, 'postgres')), { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true });
  }
  return { stopped, left };
}

/** Containers outlive their agent by design: the agent's own program takes them away. */
async function removeContainers(agent: RunningService): Promise<void> {
  const main = join(installationDirectory(), 'apps', 'host-agent', 'dist', 'main.js');
  await run(process.execPath, [main, '--remove-all'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', ...agent.environment },
    maxBuffer: 64 * 1024 ** 2,
  });
}

function leftovers(home: string, services: readonly RunningService[]): string[] {
  const processes = services
    .filter((service) => isAlive({ pid: service.pid, startTime: service.pidStartTime }))
    .map((service) => `process ${service.pid} (${service.id})`);
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((target) => target === home || target.startsWith(`${home}/`))
    .map((target) => `mount ${target}`);
  removeEmptyCgroups();
  return [...processes, ...mounts];
}

/** `/sys/fs/cgroup/<controller>/plinth` once its last container is gone. */
function removeEmptyCgroups(): void {
  for (const controller of ['.', ...readdirSync('/sys/fs/cgroup', { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name)]) {
    try {
      rmdirSync(join('/sys/fs/cgroup', controller, 'plinth'));
    } catch (error) {
      // Absent, or in use by another stack on this machine.
      if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'ENOTDIR', 'EROFS', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}
