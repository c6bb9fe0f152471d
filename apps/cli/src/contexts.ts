/**
 * Systems that the tool knows by name: where each is, the key that logs in, and whose containers are meant. One file,
 * readable by its owner only: `plinth/contexts.json` in XDG_CONFIG_HOME (absent: `~/.config`).
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { ClientError } from '@plinth/client';

export interface Context {
  /** URL of a NATS server. */
  readonly server: string;
  /** File with the seed of an nkey; absent: the system has no access control, or NATS_NKEY_FILE is set. */
  readonly nkeyFile?: string;
  /** File with the certificates that the server's is checked by. */
  readonly tlsCaFile?: string;
  /** Whose containers are meant where none is named; absent: `default`. */
  readonly tenant?: string;
}

export interface Contexts {
  /** The one that is used; absent: none. */
  readonly current?: string;
  readonly contexts: Readonly<Record<string, Context>>;
}

const NONE: Contexts = { contexts: {} };

export function contextsFile(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'plinth', 'contexts.json');
}

/** @throws ClientError `contexts-unreadable` */
export function readContexts(file = contextsFile()): Contexts {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NONE;
    throw unreadable(file, error);
  }
  try {
    const found = JSON.parse(text) as Partial<Contexts> | null;
    const { current, contexts } = found ?? {};
    const isWhole = (each: unknown): boolean => typeof (each as Partial<Context> | null)?.server === 'string';
    if (contexts === undefined || !Object.values(contexts).every(isWhole)) throw new Error('it holds no contexts');
    return { current, contexts };
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** It appears whole, with mode 0600. */
export function writeContexts(contexts: Contexts, file = contextsFile()): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600 });
  chmodSync(fresh, 0o600);
  renameSync(fresh, file);
}

/**
 * The context that is asked for: by `--context`, or PLINTH_CONTEXT.
 * @throws ClientError `context-not-found`
 */
export function askedContext(environment: NodeJS.ProcessEnv = process.env): Context | undefined {
  const name = environment['PLINTH_CONTEXT'];
  return name ? contextCalled(name, readContexts(contextsFile(environment))) : undefined;
}

/** The one that `plinth context use` chose; undefined: none. */
export function currentContext(environment: NodeJS.ProcessEnv = process.env): Context | undefined {
  const { current, contexts } = readContexts(contextsFile(environment));
  return current === undefined ? undefined : contexts[current];
}

/** @throws ClientError `context-not-found` */
export function contextCalled(name: string, { contexts }: Contexts): Context {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (found) return found;
  const known = Object.keys(contexts).join(', ') || 'none';
  throw new ClientError(
    `there is no context ${name}; known: ${known}; plinth context add makes one`,
    'context-not-found',
  );
}

/** Where none is named: the tenant of the context in use. A file that can't be read is reported by what needs it. */
export function presetTenant(environment: NodeJS.ProcessEnv = process.env): string {
  try {
    return (askedContext(environment) ?? currentContext(environment))?.tenant ?? 'default';
  } catch (error) {
    if (error instanceof ClientError) return 'default';
    throw error;
  }
}

function unreadable(file: string, cause: unknown): ClientError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ClientError(`${file} can't be read: ${why}`, 'contexts-unreadable', { cause });
}
