/**
 * Runs a recipe's commands in the image under construction: a container with the tree as its writable root, as the
 * container runtime confines it (capabilities, system calls, masked paths), without the builder's environment, with
 * limits, usually without a network.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  buildOciConfig,
  detectRuntimeBinary,
  heldLimits,
  type MissingLimit,
  missingLimits,
  type ResourceLimits,
  type RuntimeBinary,
  unheldLimits,
} from '@plinth/container-runtime';
import { buildCgroup, removeBuildCgroups } from './build-cgroups.js';
import { isMissing } from '../tree/image-tree.js';
import { run, runCaptive, type RunResult } from './process.js';

export interface SandboxCommand {
  readonly root: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** `host`: package mirrors can be reached. */
  readonly network: 'isolated' | 'host';
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

const LIMITS = { memoryBytes: 4 * 1024 ** 3, pids: 4_096 };
const TMP_BYTES = 1024 ** 3;
const STATE = '.state';

export class Sandbox {
  private constructor(
    private readonly runtime: RuntimeBinary,
    private readonly directory: string,
    /** Which of its limits this machine's cgroups can't hold: commands run without them. */
    readonly missing: readonly MissingLimit[],
  ) {}

  /** @param directory bundles and state of running commands. @throws RuntimeMissingError */
  static open(directory: string): Sandbox {
    return new Sandbox(detectRuntimeBinary(), directory, unheldLimits(LIMITS, missingLimits()));
  }

  /** @param id names it while it runs: one command of a build at a time */
  async run(id: string, command: SandboxCommand): Promise<RunResult> {
    const bundle = join(this.directory, id);
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    try {
      await writeFile(
        join(bundle, 'config.json'),
        JSON.stringify(configOf(id, command, heldLimits(LIMITS, this.missing))),
        { mode: 0o600 },
      );
      return await runCaptive([...this.argv('run'), '--bundle', bundle, id], {
        signal: command.signal,
        onLine: command.onLine,
      });
    } finally {
      await this.remove(id);
    }
  }

  /** Deletes what commands of a killed builder left: the runtime's state, and with it their cgroups. */
  async cleanUp(): Promise<void> {
    const ids = await readdir(this.directory).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    for (const id of ids) if (id !== STATE) await this.remove(id);
  }

  private async remove(id: string): Promise<void> {
    // This fails when the runtime has cleaned up by itself, which is the usual case.
    await run([...this.argv('delete'), '--force', id], { signal: AbortSignal.timeout(30_000) });
    await removeBuildCgroups(id);
    await rm(join(this.directory, id), { recursive: true, force: true });
  }

  private argv(command: string): string[] {
    return [this.runtime.path, '--root', join(this.directory, STATE), command];
  }
}

function configOf(id: string, { root, argv, env, network }: SandboxCommand, limits: ResourceLimits): object {
  const config = buildOciConfig(
    {
      id,
      imageRoot: root,
      writableRoot: true,
      mountPlan: { schema: 1, places: [] },
      mountScript: { path: '', custom: false },
      environment: env,
      timezone: 'UTC',
      hostname: 'build',
      command: argv,
      limits,
      users: 'host',
      network,
      stopSignal: 'SIGKILL',
    },
    { instance: '', layerRoot: '' },
  );
  const temporary = (destination: string, mode: string): object => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', `mode=${mode}`, `size=${TMP_BYTES}`],
  });
  return {
    ...config,
    mounts: [...config.mounts, temporary('/run', '755'), temporary('/tmp', '1777')],
    linux: { ...config.linux, cgroupsPath: buildCgroup(id) },
  };
}
