/** People, sessions and sign-ins in PostgreSQL. */
import { Inject, Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { ConsoleLink } from '@plinth/contracts';
import type { UserEntry } from '@plinth/contracts/console';
import type { DataSource } from 'typeorm';
import type { Role, Viewer } from '../../domain/access.js';
import { backOffSeconds, FORGET_SECONDS } from '../../domain/back-off.js';
import { isFromProvider } from '../../domain/provider-grant.js';

export interface Person extends Viewer {
  readonly name: string;
  /** `session`, or `token <id>`. */
  readonly via: string;
}

export interface Account extends Viewer {
  readonly name: string;
  /** PHC string; null: only links sign it in. */
  readonly password: string | null;
  readonly disabled: boolean;
}

export interface SignInRecord {
  readonly actor: string;
  readonly method: 'password' | 'link' | 'oidc' | 'sign-out' | 'password-change';
  readonly address: string;
  readonly outcome: 'ok' | 'refused';
  readonly reason: string | null;
}

/** What of a person is to be another; null and absent stay. */
export interface AccountChange {
  readonly role?: Role;
  readonly tenants?: readonly string[];
  readonly disabled?: boolean;
  /** PHC string. */
  readonly password?: string;
}

export interface StoredSignIn extends SignInRecord {
  readonly at: Date;
}

/** Rolls the change back. */
class LastAdminError extends Error {}

const ACCOUNT = 'name, role, tenants, password, disabled';

@Injectable()
export class PeopleStore {
  constructor(@Inject(getDataSourceToken()) private readonly source: DataSource) {}

  async account(name: string): Promise<Account | undefined> {
    const rows: Account[] = await this.source.query(`SELECT ${ACCOUNT} FROM console_user WHERE name = $1`, [name]);
    return rows[0];
  }

  async setPassword(name: string, password: string): Promise<void> {
    await this.source.query('UPDATE console_user SET password = $2 WHERE name = $1', [name, password]);
  }

  /**
   * Uses a link up, and makes its user unless it is there.
   * @returns undefined: it was used before
   */
  async useLink(link: ConsoleLink): Promise<Account | undefined> {
    return this.source.transaction(async (db) => {
      await db.query('DELETE FROM console_used_link WHERE until < clock_timestamp()');
      // Kept a while beyond its end: clocks of copies differ.
      const used: unknown[] = await db.query(
        `INSERT INTO console_used_link (id, until) VALUES ($1, clock_timestamp() + interval '1 hour')
           ON CONFLICT DO NOTHING RETURNING id`,
        [link.id],
      );
      if (used.length === 0) return undefined;
      await db.query(
        'INSERT INTO console_user (name, role, tenants) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING',
        [link.user, link.role, link.tenants],
      );
      const rows: Account[] = await db.query(`SELECT ${ACCOUNT} FROM console_user WHERE name = $1`, [link.user]);
      return rows[0];
    });
  }

  /** @param seconds until it ends in any case */
  async beginSession(tokenHash: Buffer, user: string, seconds: number): Promise<void> {
    await this.source.query('DELETE FROM console_session WHERE ends_at < clock_timestamp()');
    await this.source.query(
      `INSERT INTO console_session (token_hash, user_name, ends_at)
         VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))`,
      [tokenHash, user, seconds],
    );
  }

  /**
   * Whose session it is; its use is recorded once a minute.
   * @param isUse false: it only goes on being read, which keeps no session alive
   */
  async session(tokenHash: Buffer, idleSeconds: number, isUse: boolean): Promise<Person | undefined> {
    const rows: (Omit<Person, 'via'> & { readonly isOld: boolean })[] = await this.source.query(
      `SELECT u.name, u.role, u.tenants, s.used_at < clock_timestamp() - interval '1 minute' AS "isOld"
         FROM console_session s JOIN console_user u ON u.name = s.user_name
        WHERE s.token_hash = $1 AND NOT u.disabled AND s.ends_at > clock_timestamp()
          AND s.used_at > clock_timestamp() - make_interval(secs => $2)`,
      [tokenHash, idleSeconds],
    );
    const [row] = rows;
    if (!row) return undefined;
    const { isOld, ...person } = row;
    if (isUse && isOld)
      await this.source.query('UPDATE console_session SET used_at = clock_timestamp() WHERE token_hash = $1', [
        tokenHash,
      ]);
    return { ...person, via: 'session' };
  }

  async endSession(tokenHash: Buffer): Promise<void> {
    await this.source.query('DELETE FROM console_session WHERE token_hash = $1', [tokenHash]);
  }

  /** All but one, after a change of the password. */
  async endOtherSessions(user: string, tokenHash: Buffer): Promise<void> {
    await this.source.query('DELETE FROM console_session WHERE user_name = $1 AND token_hash <> $2', [user, tokenHash]);
  }

  /** Seconds until one of these may be tried; 0: now. */
  async waitOf(keys: readonly string[]): Promise<number> {
    const rows: { seconds: string | null }[] = await this.source.query(
      `SELECT ceil(extract(epoch FROM max(wait_until) - clock_timestamp())) AS seconds
         FROM console_failure WHERE key = ANY ($1)`,
      [keys],
    );
    return Math.max(0, Number(rows[0]?.seconds ?? 0));
  }

  async recordFailure(kind: 'account' | 'address', name: string): Promise<void> {
    await this.source.transaction(async (db) => {
      await db.query('DELETE FROM console_failure WHERE failed_at < clock_timestamp() - make_interval(secs => $1)', [
        FORGET_SECONDS,
      ]);
      const rows: { failures: number }[] = await db.query(
        `INSERT INTO console_failure AS f (key, failures, failed_at, wait_until)
           VALUES ($1, 1, clock_timestamp(), clock_timestamp())
           ON CONFLICT (key) DO UPDATE SET failures = f.failures + 1, failed_at = clock_timestamp()
           RETURNING failures`,
        [`${kind}:${name}`],
      );
      await db.query(
        'UPDATE console_failure SET wait_until = clock_timestamp() + make_interval(secs => $2) WHERE key = $1',
        [`${kind}:${name}`, backOffSeconds(kind, rows[0]?.failures ?? 1)],
      );
    });
  }

  async forgetFailures(account: string): Promise<void> {
    await this.source.query('DELETE FROM console_failure WHERE key = $1', [`account:${account}`]);
  }

  async record({ actor, method, address, outcome, reason }: SignInRecord): Promise<void> {
    await this.source.query(
      'INSERT INTO console_sign_in (actor, method, address, outcome, reason) VALUES ($1, $2, $3, $4, $5)',
      [actor, method, address, outcome, reason],
    );
  }

  async accounts(): Promise<UserEntry[]> {
    const rows: (Omit<UserEntry, 'usedAt' | 'createdAt' | 'fromProvider'> & {
      usedAt: Date | null;
      createdAt: Date;
    })[] = await this.source.query(
      `SELECT u.name, u.role, u.tenants, u.disabled, u.password IS NOT NULL AS "hasPassword",
                count(s.token_hash)::int AS sessions, max(s.used_at) AS "usedAt", u.created_at AS "createdAt"
           FROM console_user u LEFT JOIN console_session s ON s.user_name = u.name AND s.ends_at > clock_timestamp()
          GROUP BY u.name ORDER BY u.name LIMIT 1000`,
    );
    return rows.map((row) => ({
      ...row,
      fromProvider: isFromProvider(row.name),
      usedAt: row.usedAt?.toISOString() ?? null,
      createdAt: row.createdAt.toISOString(),
    }));
  }

  /** @returns false: there is one of this name */
  async addAccount(name: string, { role, tenants }: Viewer, password: string | null): Promise<boolean> {
    const rows: unknown[] = await this.source.query(
      `INSERT INTO console_user (name, role, tenants, password) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO NOTHING RETURNING name`,
      [name, role, tenants, password],
    );
    return rows.length > 0;
  }

  /**
   * All sessions of the person end with it.
   * @returns `last-admin`: nobody would be left who may change people
   */
  async changeAccount(
    name: string,
    { role, tenants, disabled, password }: AccountChange,
  ): Promise<'ok' | 'last-admin'> {
    return this.source
      .transaction(async (db) => {
        // One change after the other: two admins must not take the role from each other at once.
        await db.query('LOCK TABLE console_user IN SHARE ROW EXCLUSIVE MODE');
        await db.query(
          `UPDATE console_user SET role = coalesce($2, role), tenants = coalesce($3::text[], tenants),
                disabled = coalesce($4, disabled), password = coalesce($5, password) WHERE name = $1`,
          [name, role ?? null, tenants ?? null, disabled ?? null, password ?? null],
        );
        const rows: unknown[] = await db.query(
          // Of the local ones: what a provider gives, it can take. The tool's link signs in no others either.
          `SELECT 1 FROM console_user WHERE name = $1 AND issuer IS NOT NULL
           UNION ALL SELECT 1 FROM console_user WHERE role = 'admin' AND NOT disabled AND issuer IS NULL LIMIT 1`,
          [name],
        );
        if (rows.length === 0 && (role !== undefined || disabled === true)) throw new LastAdminError();
        await db.query('DELETE FROM console_session WHERE user_name = $1', [name]);
        return 'ok' as const;
      })
      .catch((error: unknown) => {
        if (error instanceof LastAdminError) return 'last-admin' as const;
        throw error;
      });
  }

  async endSessions(user: string): Promise<number> {
    const [, ended]: [unknown, number] = await this.source.query('DELETE FROM console_session WHERE user_name = $1', [
      user,
    ]);
    return ended;
  }

  /** Newest first. */
  async signIns(limit: number): Promise<StoredSignIn[]> {
    return this.source.query(
      'SELECT at, actor, method, address, outcome, reason FROM console_sign_in ORDER BY id DESC LIMIT $1',
      [limit],
    );
  }
}
