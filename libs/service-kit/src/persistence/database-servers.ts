/** `DATABASE_URL` with several servers, as libpq takes it: `postgres://user:secret@db-1:5432,db-2:5432/plinth`. Pure. */

export class DatabaseUrlError extends Error {
  override readonly name = 'DatabaseUrlError';
}

const PARTS = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^@/?#]+)([/?#].*)?$/;

/** @returns a URL for each server @throws DatabaseUrlError, whose message does not have the password */
export function databaseServers(url: string): readonly string[] {
  const [, head = '', hosts = '', rest = ''] = PARTS.exec(url) ?? [];
  const servers = hosts.split(',').map((host) => `${head}${host}${rest}`);
  if (hosts === '' || servers.some((server) => !URL.canParse(server) || new URL(server).hostname === ''))
    throw new DatabaseUrlError('DATABASE_URL must look like postgres://user:password@host:port,host:port/database');
  return servers;
}

/** What a server answers about itself. */
export interface ServerAnswer {
  readonly server: number;
  readonly primary: boolean;
  /** Grows with each promotion; absent on a standby. */
  readonly timeline?: number;
}

/**
 * Two servers are primaries for a moment after a cut that had one promoted: the one that was promoted last counts.
 * @returns undefined: none of them is
 */
export function primaryAmong(answers: readonly ServerAnswer[]): ServerAnswer | undefined {
  return answers
    .filter(({ primary }) => primary)
    .reduce<ServerAnswer | undefined>(
      (best, answer) => ((answer.timeline ?? 0) > (best?.timeline ?? -1) ? answer : best),
      undefined,
    );
}
