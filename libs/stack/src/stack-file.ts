/**
 * `stack.json`: what runs, for scripts, for clients and for `down`. Readable by its owner only: the database URL has a
 * password.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RunningService {
  /** Kind: `nats`, `postgres` or the application's name. */
  readonly name: string;
  readonly id: string;
  readonly pid: number;
  readonly pidStartTime: string;
  /** URL that answers 200 when the service is ready; null for servers that have none. */
  readonly health: string | null;
  readonly logFile: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface StackFile {
  readonly natsUrl: string;
  /** File with the seed that operators log in with; null where the bus has no access control. */
  readonly nkeyFile: string | null;
  readonly databaseUrl: string;
  readonly home: string;
  /** Of the containers, for those that are started later; absent: the services' default. */
  readonly addressPool?: string;
  /** Of containers, in place of the network of this system: a network configuration list of CNI. */
  readonly cniConfig?: string;
  readonly services: readonly RunningService[];
}

/** Top of the installation: where `plinth` and `package.json` lie. */
export function installationDirectory(): string {
  return resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
}

/** PLINTH_HOME, else `.plinth` beside the launcher. */
export function homeDirectory(): string {
  return resolve(process.env.PLINTH_HOME ?? join(installationDirectory(), '.plinth'));
}

export function readStack(home: string): StackFile | undefined {
  const file = join(home, 'stack.json');
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, 'utf8')) as StackFile;
}

export function writeStack(home: string, stack: StackFile): void {
  mkdirSync(home, { recursive: true });
  const fresh = join(home, `.stack.json.${process.pid}`);
  writeFileSync(fresh, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, join(home, 'stack.json'));
}
