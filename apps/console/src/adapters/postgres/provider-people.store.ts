/** People of an OpenID provider in PostgreSQL: known by issuer and subject, with the rights of their last sign-in. */
import { Inject, Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Viewer } from '../../domain/access.js';
import { PROVIDER_PREFIX } from '../../domain/provider-grant.js';
import type { Account } from './people.store.js';

/** Who somebody is there; a name may become another person's, this pair never (OpenID Connect Core §5.7). */
export interface ProviderIdentity {
  readonly issuer: string;
  readonly subject: string;
}

const ACCOUNT = 'name, role, tenants, password, disabled';
/** Nothing is seen or done with it, and no token goes on. */
const NO_RIGHTS: Viewer = { role: 'developer', tenants: [] };

@Injectable()
export class ProviderPeopleStore {
  constructor(@Inject(getDataSourceToken()) private readonly source: DataSource) {}

  /** @returns false: it was used before, at any copy */
  async useOnce(id: string): Promise<boolean> {
    await this.source.query('DELETE FROM console_used_link WHERE until < clock_timestamp()');
    const used: unknown[] = await this.source.query(
      `INSERT INTO console_used_link (id, until) VALUES ($1, clock_timestamp() + interval '1 hour')
         ON CONFLICT DO NOTHING RETURNING id`,
      [id],
    );
    return used.length > 0;
  }

  /**
   * The person, made at the first sign-in; with other rights than before all sessions end.
   * @param name as the provider has it now; that of the first sign-in stays
   */
  async admit(identity: ProviderIdentity, name: string, grant: Viewer): Promise<Account> {
    return this.source.transaction(async (db) => {
      const { issuer, subject } = identity;
      // One after the other: two first sign-ins must not make the person twice.
      await db.query('LOCK TABLE console_user IN SHARE ROW EXCLUSIVE MODE');
      const find = async (): Promise<Account | undefined> => {
        const rows: Account[] = await db.query(
          `SELECT ${ACCOUNT} FROM console_user WHERE issuer = $1 AND subject = $2`,
          [issuer, subject],
        );
        return rows[0];
      };
      const known = await find();
      if (known) {
        const isSame = known.role === grant.role && known.tenants.join() === grant.tenants.join();
        if (isSame) return known;
        await db.query('UPDATE console_user SET role = $2, tenants = $3 WHERE name = $1', [
          known.name,
          grant.role,
          grant.tenants,
        ]);
        await db.query('DELETE FROM console_session WHERE user_name = $1', [known.name]);
        return { ...known, ...grant };
      }
      const plain = `${PROVIDER_PREFIX}${name}`;
      const taken: unknown[] = await db.query('SELECT 1 FROM console_user WHERE name = $1', [plain]);
      const own = taken.length === 0 ? plain : `${plain}-${markOf(identity)}`;
      await db.query('INSERT INTO console_user (name, role, tenants, issuer, subject) VALUES ($1, $2, $3, $4, $5)', [
        own,
        grant.role,
        grant.tenants,
        issuer,
        subject,
      ]);
      return { name: own, ...grant, password: null, disabled: false };
    });
  }

  /** Ends rights, sessions and tokens of a person who has no group any more. @returns the name; undefined: not known */
  async endRights({ issuer, subject }: ProviderIdentity): Promise<string | undefined> {
    return this.source.transaction(async (db) => {
      const [rows]: [{ name: string }[], number] = await db.query(
        'UPDATE console_user SET role = $3, tenants = $4 WHERE issuer = $1 AND subject = $2 RETURNING name',
        [issuer, subject, NO_RIGHTS.role, NO_RIGHTS.tenants],
      );
      const name = rows[0]?.name;
      if (name !== undefined) await db.query('DELETE FROM console_session WHERE user_name = $1', [name]);
      return name;
    });
  }
}

/** Keeps two people of one name apart. */
function markOf({ issuer, subject }: ProviderIdentity): string {
  return createHash('sha256')
    .update(JSON.stringify([issuer, subject]))
    .digest('hex')
    .slice(0, 16);
}
