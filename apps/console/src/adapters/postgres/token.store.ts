/** API tokens in PostgreSQL: their hashes. */
import { Inject, Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { TokenEntry } from '@plinth/contracts/console';
import type { DataSource } from 'typeorm';
import type { Role, Viewer } from '../../domain/access.js';

export interface NewToken extends Viewer {
  readonly id: string;
  readonly hash: Buffer;
  readonly name: string;
  readonly owner: string;
  readonly days: number;
}

/** A token that is valid, with what its owner may. */
export interface UsedToken extends Viewer {
  readonly id: string;
  readonly owner: string;
  readonly ownerRole: Role;
  readonly ownerTenants: readonly string[];
}

type Times = 'createdAt' | 'endsAt' | 'usedAt' | 'revokedAt';
type TokenRow = Omit<TokenEntry, Times> & { readonly [K in Times]: Date | null };

const ENTRY = `id, name, owner, role, tenants, created_at AS "createdAt", ends_at AS "endsAt", used_at AS "usedAt",
  revoked_at AS "revokedAt"`;

@Injectable()
export class TokenStore {
  constructor(@Inject(getDataSourceToken()) private readonly source: DataSource) {}

  async add({ id, hash, name, owner, role, tenants, days }: NewToken): Promise<TokenEntry> {
    const rows: TokenRow[] = await this.source.query(
      `INSERT INTO console_token (id, hash, name, owner, role, tenants, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(days => $7)) RETURNING ${ENTRY}`,
      [id, hash, name, owner, role, tenants, days],
    );
    return entryOf(rows[0] as TokenRow);
  }

  /** Its use is recorded once a minute. @returns undefined: it is none, revoked or over, or its owner is disabled */
  async use(id: string, hash: Buffer): Promise<UsedToken | undefined> {
    const rows: (UsedToken & { readonly isOld: boolean })[] = await this.source.query(
      `SELECT t.id, t.owner, t.role, t.tenants, u.role AS "ownerRole", u.tenants AS "ownerTenants",
              coalesce(t.used_at < clock_timestamp() - interval '1 minute', true) AS "isOld"
         FROM console_token t JOIN console_user u ON u.name = t.owner
        WHERE t.id = $1 AND t.hash = $2 AND t.revoked_at IS NULL AND t.ends_at > clock_timestamp() AND NOT u.disabled`,
      [id, hash],
    );
    const [row] = rows;
    if (!row) return undefined;
    if (row.isOld) await this.source.query('UPDATE console_token SET used_at = clock_timestamp() WHERE id = $1', [id]);
    return row;
  }

  /** @param owner undefined: of all */
  async list(owner: string | undefined): Promise<TokenEntry[]> {
    const rows: TokenRow[] = await this.source.query(
      `SELECT ${ENTRY} FROM console_token WHERE $1::text IS NULL OR owner = $1 ORDER BY created_at DESC LIMIT 500`,
      [owner ?? null],
    );
    return rows.map(entryOf);
  }

  /** @param owner undefined: of anybody. @returns its name; undefined: there is none that is valid */
  async revoke(id: string, owner: string | undefined): Promise<string | undefined> {
    const [rows]: [{ name: string }[], number] = await this.source.query(
      `UPDATE console_token SET revoked_at = clock_timestamp()
        WHERE id = $1 AND ($2::text IS NULL OR owner = $2) AND revoked_at IS NULL RETURNING name`,
      [id, owner ?? null],
    );
    return rows[0]?.name;
  }
}

function entryOf({ createdAt, endsAt, usedAt, revokedAt, ...rest }: TokenRow): TokenEntry {
  return {
    ...rest,
    createdAt: createdAt?.toISOString() ?? '',
    endsAt: endsAt?.toISOString() ?? '',
    usedAt: usedAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
  };
}
