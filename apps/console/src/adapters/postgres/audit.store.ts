/** The record of acts in PostgreSQL; rows can be added only. */
import { Inject, Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { AuditEntry, ListAudit } from '@plinth/contracts/console';
import type { DataSource } from 'typeorm';
import type { Conclusion } from '../../domain/request-progress.js';

export interface Act {
  readonly actor: string;
  /** `session`, `token <id>` or `bus`. */
  readonly via: string;
  readonly address: string | null;
  readonly act: string;
  readonly target: string | null;
  readonly tenant: string | null;
  readonly why: string | null;
}

export interface AskedAct extends Act {
  readonly requestId: string;
  /** SHA-256 of what is asked; null: not known. */
  readonly digest: Buffer | null;
}

interface AuditRow extends Omit<AuditEntry, 'sequence' | 'at' | 'endedAt'> {
  readonly sequence: string;
  readonly at: Date;
  readonly endedAt: Date | null;
}

const DEFAULT_LIMIT = 100;
/** Requests without an outcome are no longer waited for. */
const OPEN_HOURS = 24;
/** A request is published right after it is on record, or its person is answered that it was not. */
const LOST_SECONDS = 60;
const NOT_PUBLISHED: Conclusion = {
  outcome: 'failed',
  reason: 'not-published',
  message: 'the bus never received it; send it again',
};

/** One line for each act: what was asked, with how it ended. */
const ENTRIES = `
  SELECT a.id AS sequence, a.at, a.actor, a.via, a.address, a.act, a.target, a.tenant, a.request_id AS "requestId",
         a.why, coalesce(e.outcome, a.outcome, 'pending') AS outcome, coalesce(e.reason, a.reason) AS reason,
         coalesce(e.message, a.message) AS message,
         CASE WHEN a.phase = 'asked' THEN e.at ELSE a.at END AS "endedAt"
    FROM console_audit a
    LEFT JOIN console_audit e ON a.phase = 'asked' AND e.request_id = a.request_id AND e.phase = 'ended'
   WHERE (a.phase IN ('asked', 'refused') OR a.phase = 'ended' AND a.request_id IS NULL)`;

@Injectable()
export class AuditStore {
  constructor(@Inject(getDataSourceToken()) private readonly source: DataSource) {}

  /**
   * Before it is published.
   * @returns `same`: the same person asked for the same before, under this id; `lost`: and it is on record that the bus
   * never received it; `other`: the id stands for something else
   */
  async asked(act: AskedAct): Promise<'new' | 'same' | 'lost' | 'other'> {
    if (await this.insertAsked(act)) return 'new';
    const rows: { actor: string; digest: Buffer | null; lost: boolean }[] = await this.source.query(
      `SELECT actor, digest, EXISTS (SELECT 1 FROM console_audit e
                WHERE e.request_id = a.request_id AND e.phase = 'ended' AND e.reason = $2) AS lost
         FROM console_audit a WHERE request_id = $1 AND phase = 'asked'`,
      [act.requestId, NOT_PUBLISHED.reason],
    );
    const [before] = rows;
    const isSame = before?.actor === act.actor && before.digest !== null && act.digest?.equals(before.digest) === true;
    if (!isSame) return 'other';
    return before.lost ? 'lost' : 'same';
  }

  /** Seen on the bus. @returns false: it was on record */
  async insertAsked({ actor, via, address, act, target, tenant, why, requestId, digest }: AskedAct): Promise<boolean> {
    const rows: unknown[] = await this.source.query(
      `INSERT INTO console_audit (phase, actor, via, address, act, target, tenant, why, request_id, digest)
         VALUES ('asked', $1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (request_id, phase) WHERE request_id IS NOT NULL AND phase <> 'refused' DO NOTHING RETURNING id`,
      [actor, via, address, act, target, tenant, why, requestId, digest],
    );
    return rows.length > 0;
  }

  /** The bus has it. */
  async published(requestId: string): Promise<void> {
    await this.source.query(
      `INSERT INTO console_audit (phase, actor, via, act, request_id)
         SELECT 'published', actor, via, act, request_id FROM console_audit WHERE request_id = $1 AND phase = 'asked'
         ON CONFLICT (request_id, phase) WHERE request_id IS NOT NULL AND phase <> 'refused' DO NOTHING`,
      [requestId],
    );
  }

  /**
   * Requests that the bus has not received {@link LOST_SECONDS} after they were asked have failed. For a copy that has
   * read all that the bus has.
   * @returns their ids
   */
  async endLost(): Promise<readonly string[]> {
    const rows: { request_id: string }[] = await this.source.query(
      `INSERT INTO console_audit (phase, actor, via, act, target, tenant, request_id, outcome, reason, message)
         SELECT 'ended', actor, via, act, target, tenant, request_id, $1, $2, $3 FROM console_audit a
          WHERE a.phase = 'asked' AND a.at < clock_timestamp() - interval '${LOST_SECONDS} seconds'
            AND a.at > clock_timestamp() - interval '${OPEN_HOURS} hours'
            AND NOT EXISTS (SELECT 1 FROM console_audit e
                             WHERE e.request_id = a.request_id AND e.phase IN ('published', 'ended'))
         ON CONFLICT (request_id, phase) WHERE request_id IS NOT NULL AND phase <> 'refused' DO NOTHING
       RETURNING request_id`,
      [NOT_PUBLISHED.outcome, NOT_PUBLISHED.reason, NOT_PUBLISHED.message],
    );
    return rows.map(({ request_id: id }) => id);
  }

  /** How a request ended; the first that is recorded counts. */
  async ended(requestId: string, { outcome, reason, message }: Conclusion): Promise<void> {
    await this.source.query(
      `INSERT INTO console_audit (phase, actor, via, act, target, tenant, request_id, outcome, reason, message)
         SELECT 'ended', actor, via, act, target, tenant, request_id, $2, $3, $4 FROM console_audit
          WHERE request_id = $1 AND phase = 'asked'
         ON CONFLICT (request_id, phase) WHERE request_id IS NOT NULL AND phase <> 'refused' DO NOTHING`,
      [requestId, outcome, reason, message],
    );
  }

  /** What the console itself refused, or did without the bus. */
  async settled(
    { actor, via, address, act, target, tenant, why }: Act,
    { outcome, reason, message }: Conclusion,
  ): Promise<void> {
    await this.source.query(
      `INSERT INTO console_audit (phase, actor, via, address, act, target, tenant, why, outcome, reason, message)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        outcome === 'refused' ? 'refused' : 'ended',
        actor,
        via,
        address,
        act,
        target,
        tenant,
        why,
        outcome,
        reason,
        message,
      ],
    );
  }

  /** Asked, and without an outcome so far. */
  async open(): Promise<readonly { readonly requestId: string; readonly act: string }[]> {
    return this.source.query(
      `SELECT a.request_id AS "requestId", a.act FROM console_audit a
        WHERE a.phase = 'asked' AND a.at > clock_timestamp() - interval '${OPEN_HOURS} hours'
          AND NOT EXISTS (SELECT 1 FROM console_audit e WHERE e.request_id = a.request_id AND e.phase = 'ended')
        ORDER BY a.id`,
    );
  }

  async request(requestId: string): Promise<AuditEntry | undefined> {
    const rows: AuditRow[] = await this.source.query(`${ENTRIES} AND a.request_id = $1 AND a.phase = 'asked'`, [
      requestId,
    ]);
    return rows[0] && entryOf(rows[0]);
  }

  /** Newest first. */
  async list({ actor, act, target, tenant, outcome, cursor, limit = DEFAULT_LIMIT }: ListAudit): Promise<AuditEntry[]> {
    const rows: AuditRow[] = await this.source.query(
      `SELECT * FROM (${ENTRIES}
          AND ($1::text IS NULL OR a.actor = $1) AND ($2::text IS NULL OR a.act = $2 OR a.act LIKE $2 || '.%')
          AND ($3::text IS NULL OR a.target = $3) AND ($4::text IS NULL OR a.tenant = $4)
          AND ($5::bigint IS NULL OR a.id < $5)) AS found
        WHERE $6::text IS NULL OR outcome = $6 ORDER BY sequence DESC LIMIT $7`,
      [actor ?? null, act ?? null, target ?? null, tenant ?? null, cursor ?? null, outcome ?? null, limit],
    );
    return rows.map(entryOf);
  }

  /** How far the stream that was made at that time was read; undefined: not at all. */
  async position(created: string): Promise<number | undefined> {
    const rows: { sequence: string }[] = await this.source.query(
      'SELECT sequence FROM console_position WHERE created = $1',
      [created],
    );
    return rows[0] && Number(rows[0].sequence);
  }

  async savePosition(created: string, sequence: number): Promise<void> {
    await this.source.query(
      `INSERT INTO console_position AS p (created, sequence) VALUES ($1, $2)
         ON CONFLICT (created) DO UPDATE SET sequence = greatest(p.sequence, $2), at = clock_timestamp()`,
      [created, sequence],
    );
  }
}

function entryOf({ sequence, at, endedAt, ...rest }: AuditRow): AuditEntry {
  return { sequence: Number(sequence), at: at.toISOString(), endedAt: endedAt?.toISOString() ?? null, ...rest };
}
