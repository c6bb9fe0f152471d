/**
 * A client that connects to the one of several servers which takes writes. `pg` knows one host only (node-postgres issues
 * 1470 and 2781); its pool makes clients of the class that it is given.
 */
import { callbackify } from 'node:util';
import pg from 'pg';
import { primaryAmong, type ServerAnswer } from './database-servers.js';

/** No server of a list takes writes now; tried again at the next connection. */
export class NoPrimaryError extends Error {
  override readonly name = 'NoPrimaryError';
}

export interface PrimaryOptions {
  /** A URL each. */
  readonly servers: readonly string[];
  /** How long a server may take to answer whether it takes writes. */
  readonly answerMs: number;
  /** How long the others are waited for after the first one has answered that it does. */
  readonly othersMs: number;
}

/** The timeline is the first part of the name of the file that is written, which a standby does not have. */
const QUESTION = `SELECT pg_is_in_recovery() AS standby,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`;
const HEXADECIMAL = 16;
const QUERY_TIMEOUT = 'Query read timeout';

/** The pool gives one; others wait for the promise. */
type Connected = ((error: Error) => void) | ((error: null, client: pg.Client) => void);

/** For the option `Client` of a pool. */
export function primaryClient(options: PrimaryOptions): typeof pg.Client {
  class PrimaryClient extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      // Queries in progress fail by themselves; without a listener the process would end.
      this.on('error', () => undefined);
      const query = this.query.bind(this) as (...args: unknown[]) => unknown;
      this.query = ((...args: unknown[]) => {
        const result = query(...args);
        if (result instanceof Promise)
          result.catch((error: unknown) => {
            // A server that is cut off answers nothing more: the next user of the connection would wait as long.
            if (error instanceof Error && error.message === QUERY_TIMEOUT) this.destroyStream();
          });
        return result;
      }) as typeof this.query;
    }

    private destroyStream(): void {
      (
        this as unknown as { readonly connection: { readonly stream: { destroy(): void } } }
      ).connection.stream.destroy();
    }

    override connect(): Promise<pg.Client>;
    override connect(callback: Connected): void;
    override connect(callback?: Connected): Promise<pg.Client> | void {
      const connected = this.connectToPrimary();
      if (callback === undefined) return connected;
      callbackify(() => connected)(callback as (error: Error | null, client?: pg.Client) => void);
    }

    private async connectToPrimary(): Promise<pg.Client> {
      const { hostname, port } = new URL(await findPrimary(options));
      const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 5432) };
      Object.assign(this, target);
      Object.assign((this as unknown as { connectionParameters: object }).connectionParameters, target);
      return super.connect();
    }
  }
  return PrimaryClient;
}

/** @returns its URL @throws NoPrimaryError */
export async function findPrimary({ servers, answerMs, othersMs }: PrimaryOptions): Promise<string> {
  const answers: ServerAnswer[] = [];
  const asked = servers.map(async (url, server) => {
    const answer = await ask(url, server, answerMs);
    if (answer) answers.push(answer);
    return answer;
  });
  const all = Promise.all(asked);
  const first = Promise.any(
    asked.map(async (answer) => ((await answer)?.primary ? undefined : Promise.reject(STANDBY))),
  );
  await first.then(() => Promise.race([all, new Promise((resolve) => setTimeout(resolve, othersMs))])).catch(() => all);
  const found = primaryAmong(answers);
  const url = found === undefined ? undefined : servers[found.server];
  if (url === undefined)
    throw new NoPrimaryError(
      `none of ${servers.length} PostgreSQL servers takes writes: ${answers.length} answered, all standbys`,
    );
  return url;
}

const STANDBY = new Error('not a primary');

/** undefined: it does not answer, which is what this is about. */
async function ask(url: string, server: number, answerMs: number): Promise<ServerAnswer | undefined> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: answerMs, query_timeout: answerMs });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ standby: boolean; timeline: string | null }>(QUESTION);
    const [row] = rows;
    if (!row) return undefined;
    return {
      server,
      primary: !row.standby,
      ...(row.timeline === null ? {} : { timeline: Number.parseInt(row.timeline, HEXADECIMAL) }),
    };
  } catch {
    return undefined;
  } finally {
    // Not waited for: a server that is cut off does not answer this either.
    void client.end().catch(() => undefined);
  }
}
