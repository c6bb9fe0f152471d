/** Starts a server process: in the background for good, or bound to the life of this process. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { identify, isAlive, type ProcessIdentity } from './process-identity.js';

export interface ServerCommand {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  /** `background`: outlives this process. `bound`: is killed when this process dies, however it dies. */
  readonly life: 'background' | 'bound';
  /** User that the server runs as; needs root. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

export class ServerStartError extends Error {
  constructor(
    message: string,
    readonly logTail: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'ServerStartError';
  }
}

export function tailOf(file: string, lines = 15): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

export async function spawnServer(command: ServerCommand): Promise<ProcessIdentity> {
  const prefix: string[] = [];
  if (command.user || command.life === 'bound') {
    prefix.push('setpriv');
    if (command.user)
      prefix.push('--reuid', String(command.user.uid), '--regid', String(command.user.gid), '--clear-groups');
    if (command.life === 'bound') prefix.push('--pdeathsig', 'KILL');
    prefix.push('--');
  }
  const [file, ...args] = [...prefix, ...command.argv];
  if (file === undefined) throw new TypeError('an empty command');
  const log = openSync(command.logFile, 'a', 0o600);
  try {
    const child = spawn(file, args, {
      detached: command.life === 'background',
      stdio: ['ignore', log, log],
      env: command.env ?? process.env,
      cwd: '/',
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new ServerStartError(`${file} could not be started: ${error.message}`, '', { cause: error })),
      );
      child.once('spawn', () => resolve(child.pid ?? -1));
    });
    child.unref();
    const identity = identify(pid);
    if (!identity) throw new ServerStartError(`${command.argv[0]} ended at once`, tailOf(command.logFile));
    return identity;
  } finally {
    closeSync(log);
  }
}

/** Polls until the probe answers true. @throws ServerStartError when the process ends or the time is over */
export async function waitUntilReady(
  name: string,
  identity: ProcessIdentity,
  logFile: string,
  timeoutMs: number,
  probe: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (!isAlive(identity)) throw new ServerStartError(`${name} ended while it started`, tailOf(logFile));
    if (performance.now() > deadline)
      throw new ServerStartError(`${name} was not ready within ${Math.round(timeoutMs / 1000)} s`, tailOf(logFile));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
