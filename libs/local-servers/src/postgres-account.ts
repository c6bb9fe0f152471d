/** The unprivileged account that PostgreSQL runs as, and the places that it can reach. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ServerStartError } from './spawn-server.js';

/** For what must not lie below a home directory that only its owner may enter. */
export const SHARED_DIRECTORY = '/var/lib/plinth';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** `postgres` where Debian made one, else `nobody`: no account is created. */
export function unprivilegedAccount(): Account {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields?.[2] && fields[3]) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new ServerStartError('there is no unprivileged account (postgres or nobody) to run PostgreSQL as', '');
}

/** argv that runs a command as the account; the command itself without one. */
export function asAccount(account: Account | undefined, argv: readonly string[]): readonly string[] {
  return account
    ? ['setpriv', '--reuid', String(account.uid), '--regid', String(account.gid), '--clear-groups', '--', ...argv]
    : argv;
}

/** Whether the account may execute the file, or enter the directory. */
export async function reaches(account: Account, path: string): Promise<boolean> {
  const [file = '', ...args] = asAccount(account, ['test', '-x', path]);
  try {
    await promisify(execFile)(file, args, { cwd: '/' });
    return true;
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'number') return false;
    throw error;
  }
}

/**
 * Data beside the password and the log; below /var/lib/plinth when the account can't get there (a checkout below
 * /root).
 */
export async function dataDirectory(directory: string, account: Account | undefined): Promise<string> {
  const beside = join(directory, 'data');
  if (!account || existsSync(beside) || (await reaches(account, directory))) return beside;
  const apart = dataApart(directory);
  mkdirSync(apart, { recursive: true, mode: 0o711 });
  return join(apart, 'data');
}

/** Deletes the data of a stopped server, wherever it lies. */
export function removePostgresData(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  rmSync(dataApart(directory), { recursive: true, force: true });
}

function dataApart(directory: string): string {
  return join(SHARED_DIRECTORY, `data-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`);
}
