/** Stops a stack and checks afterwards whether anything of it is left. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endProcess, removePostgresData } from '@plinth/local-servers';
import { findLeftovers } from './leftovers.js';
import { installationDirectory, readStack, type RunningService, writeStack } from './stack-file.js';

const run = promisify(execFile);
const GRACE_MS = 15_000;
const REMOVAL_MS = 600_000;
/**
 * The console shows what the others do. Agents before the rest, so that nothing starts a container again while the others go; servers last, as everything needs them.
 */
const ORDER = ['console', 'host-agent', 'distributor', 'provisioner', 'image-builder', 'postgres', 'nats'];

export interface StopReport {
  readonly stopped: number;
  /** What is still there, for people; empty when nothing is. */
  readonly left: readonly string[];
}

/** Stops all that the stack file lists. With `data` the home is deleted too, but only when nothing is left. */
export async function stopStack(
  home: string,
  options: { readonly data: boolean; readonly onProgress: (line: string) => void },
): Promise<StopReport> {
  const stack = readStack(home);
  const services = stack?.services ?? [];
  const problems: string[] = [];
  let stopped = 0;
  for (const name of ORDER) {
    // The agents of one machine go one after the other: each has thousands of containers to take along.
    for (const service of services.filter((candidate) => candidate.name === name)) {
      const how = await endProcess(
        { pid: service.pid, startTime: service.pidStartTime },
        name === 'postgres' ? 'SIGINT' : 'SIGTERM',
        GRACE_MS,
      );
      if (how !== 'gone') stopped++;
      options.onProgress(`${service.id.padEnd(24)} ${how === 'gone' ? 'was not running' : how}`);
      const problem = name === 'host-agent' && how !== 'stuck' ? await removeContainers(service) : undefined;
      if (problem) problems.push(problem);
    }
  }
  const left = [...problems, ...findLeftovers(home, services, options.data)];
  if (stack && left.length === 0) writeStack(home, { ...stack, services: [] });
  if (options.data && left.length === 0) {
    removePostgresData(join(home, 'postgres'));
    rmSync(home, { recursive: true, force: true });
  }
  return { stopped, left };
}

/** Containers outlive their agent by design: the agent's own program takes them away. @returns what went wrong */
async function removeContainers(agent: RunningService): Promise<string | undefined> {
  const main = join(installationDirectory(), 'apps', 'host-agent', 'dist', 'main.js');
  try {
    await run(process.execPath, [main, '--remove-all'], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', ...agent.environment },
      maxBuffer: 64 * 1024 ** 2,
      timeout: REMOVAL_MS,
    });
    return undefined;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    const last = `${stdout}\n${stderr}`.trim().split('\n').at(-1);
    return `containers of ${agent.id}: ${last || message}`;
  }
}
