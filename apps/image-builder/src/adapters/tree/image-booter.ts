/** Boots images with the runtime code of the hosts, in containers that only this process manages. */
import { readlinkSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OciRuntime } from '@plinth/container-runtime';
import { type ImageManifest, VERSION_FILES } from '@plinth/contracts';
import { newId } from '@plinth/service-kit';
import type { TestOutcome } from '../../domain/test-verdict.js';
import { isMissing } from './image-tree.js';

export interface BootOptions {
  readonly manifest: ImageManifest;
  /** Holds `root/` and `mount.sh`. */
  readonly directory: string;
  /** Directory for the data volume. */
  readonly work: string;
  readonly onLine: (line: string) => void;
}

export type BootResult =
  | { readonly ok: true; readonly image: BootedImage }
  /** No process of the image runs. */
  | { readonly ok: false; readonly message: string; readonly log: string };

export interface ExecOptions {
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

/** An image whose first process ends this soon has not booted. */
const SETTLED_MS = 300;
const MANAGER_PATIENCE_MS = 60_000;
const MANAGER_POLL_MS = 100;
const LIMITS = { memoryBytes: 1024 ** 3, pids: 1_024 };
const MAX_OUTPUT = 1024 ** 2;
const MAX_LINE = 4_096;
const LOG_TAIL = 12_000;

export class ImageBooter {
  private constructor(private readonly runtime: OciRuntime) {}

  /** @param directory of this service id's own. @throws RuntimeMissingError */
  static open(directory: string): ImageBooter {
    return new ImageBooter(new OciRuntime({ stateDirectory: directory, limits: 'preferred' }));
  }

  /** Removes containers of a killed process. */
  async cleanUp(): Promise<void> {
    for (const { id } of this.runtime.list()) await this.runtime.delete(id);
  }

  /** No image is booted any more. */
  close(): void {
    this.runtime.close();
    this.runtime.removeDirectories();
  }

  /** As on the hosts, with users of its own where this machine can. */
  async boot({ manifest, directory, work, onLine }: BootOptions): Promise<BootResult> {
    const problem = this.runtime.ownUsersProblem(directory) ?? this.runtime.ownUsersProblem(work);
    if (problem !== undefined) onLine(`# with the users of this machine: ${problem}`);
    const id = newId();
    const dataPath = join(work, 'data');
    await mkdir(dataPath, { mode: 0o755 });
    const started = await this.runtime.start({
      id,
      imageRoot: join(directory, VERSION_FILES.root),
      mountPlan: manifest.mountPlan,
      mountScript: {
        path: join(directory, VERSION_FILES.mountScript),
        custom: manifest.mountScript.custom,
        digest: manifest.mountScript.digest,
      },
      environment: manifest.environment,
      timezone: manifest.timezone,
      hostname: manifest.name,
      command: [...(manifest.entrypoint ?? []), ...manifest.command],
      workingDirectory: manifest.workingDirectory,
      user: manifest.user,
      dataPath,
      limits: LIMITS,
      users: problem === undefined ? 'own' : 'host',
      network: 'isolated',
      stopSignal: manifest.stopSignal,
      privileges: manifest.privileges,
    });
    if (!started.ok) return { ok: false, message: started.message, log: '' };
    await delay(SETTLED_MS);
    await this.managerAnswers(id, started.pid);
    const image = new BootedImage(this.runtime, id, started.pid);
    if (this.runtime.observe(id)?.state === 'running') return { ok: true, image };
    const exit = this.runtime.exitStatus(id);
    const log = await image.log();
    await image.destroy();
    return { ok: false, message: `its first process ended at once${exit ? ` with exit code ${exit.code}` : ''}`, log };
  }

  /** systemd answers commands such as `systemctl` from a moment in its start on; a test must not come before it. */
  private async managerAnswers(id: string, pid: number): Promise<void> {
    for (const end = performance.now() + MANAGER_PATIENCE_MS; performance.now() < end; await delay(MANAGER_POLL_MS)) {
      if (!isSystemd(pid)) return;
      const asked = await this.runtime.exec(id, ['test', '-S', '/run/systemd/private'], {
        user: { uid: 0, gid: 0 },
        timeoutMs: MANAGER_PATIENCE_MS,
      });
      if (!asked.ok || asked.exitCode === 0) return;
    }
  }
}

function isSystemd(pid: number): boolean {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)) === 'systemd';
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

export class BootedImage {
  constructor(
    private readonly runtime: OciRuntime,
    private readonly id: string,
    /** Process id of the first process, on this machine. */
    readonly pid: number,
  ) {}

  async exec(argv: readonly string[], { timeoutSeconds, signal, onLine }: ExecOptions): Promise<TestOutcome> {
    let output = '';
    const lines = new Lines(onLine);
    const onStdout = (chunk: Buffer): void => {
      if (output.length < MAX_OUTPUT) output += chunk.toString('utf8');
      lines.add(chunk);
    };
    const result = await this.runtime.exec(this.id, argv, {
      cwd: '/',
      user: { uid: 0, gid: 0 },
      timeoutMs: timeoutSeconds * 1000,
      signal,
      onStdout,
      onStderr: (chunk) => lines.add(chunk),
    });
    lines.end();
    signal.throwIfAborted();
    if (result.ok) return { kind: 'ended', exitCode: result.exitCode, output };
    if (result.reason === 'timeout') return { kind: 'timed-out' };
    return { kind: 'gone' };
  }

  /** The last output of the first process. */
  async log(): Promise<string> {
    try {
      const text = await readFile(this.runtime.logPath(this.id), 'utf8');
      // Lines of the CRI log format: time, stream, tag, text.
      return text.slice(-LOG_TAIL).replace(/^\S+ (?:stdout|stderr) [FP] /gm, '');
    } catch (error) {
      if (isMissing(error)) return '';
      throw error;
    }
  }

  /** Kills it; nothing of it is left. */
  async destroy(): Promise<void> {
    await this.runtime.delete(this.id);
  }
}

/** Cuts a stream of bytes into lines. */
class Lines {
  private rest = '';

  constructor(private readonly onLine: (line: string) => void) {}

  add(chunk: Buffer): void {
    const lines = (this.rest + chunk.toString('utf8')).split('\n');
    this.rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) this.onLine(line.slice(0, MAX_LINE));
  }

  end(): void {
    if (this.rest !== '') this.onLine(this.rest);
  }
}
