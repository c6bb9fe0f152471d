/** Answers for people: rollouts in pages, one rollout with its containers. */
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Page, RolloutDetails, RolloutMember, RolloutStatus } from '@plinth/contracts';
import type { DataSource } from 'typeorm';
import { presentStatus, presentStatuses } from '../rollouts/rollout-announcement.js';
import type { RolloutRow } from '../rollouts/rollout.store.js';

const PAGE = 100;
const MEMBERS = 500;

@Injectable()
export class RolloutQueryStore {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  /** Newest first. @param all also those that have ended */
  async rollouts(all: boolean, cursor: string | undefined, limit = PAGE): Promise<Page<RolloutStatus>> {
    const before = /^\d{1,18}$/.test(cursor ?? '') ? cursor : null;
    const rows: RolloutRow[] = await this.source.query(
      `SELECT * FROM rollouts WHERE ($1 OR ended_at IS NULL) AND ($2::bigint IS NULL OR ordinal < $2)
       ORDER BY ordinal DESC LIMIT $3`,
      [all, before, limit + 1],
    );
    const shown = rows.slice(0, limit);
    return {
      items: await presentStatuses(this.source.manager, shown),
      next: rows.length > limit ? shown[shown.length - 1]?.ordinal : undefined,
    };
  }

  /** Finds a rollout by id, or by the request that made it. */
  async rollout(id: string | undefined, requestId: string | undefined): Promise<RolloutDetails | undefined> {
    const rows: RolloutRow[] = await this.source.query('SELECT * FROM rollouts WHERE id = $1 OR request_id = $2', [
      id ?? null,
      requestId ?? null,
    ]);
    const row = rows[0];
    if (!row) return undefined;
    const { items, next } = await this.members(row.id, undefined);
    return { ...(await presentStatus(this.source.manager, row)), request: row.request, members: items, next };
  }

  /** In the order in which the rollout takes them. */
  async members(id: string, cursor: string | undefined, limit = MEMBERS): Promise<Page<RolloutMember>> {
    const after = /^\d{1,9}$/.test(cursor ?? '') ? cursor : null;
    const rows: { ordinal: number; member: RolloutMember }[] = await this.source.query(
      `SELECT m.ordinal, json_build_object('containerId', m.container_id, 'name', c.name, 'tenant', c.tenant,
                'host', c.host, 'from', m.from_image, 'to', m.to_image, 'phase', m.phase, 'batch', m.batch,
                'reason', m.reason, 'message', m.message) AS member
         FROM rollout_members m JOIN containers c ON c.id = m.container_id
        WHERE m.rollout_id = $1 AND m.ordinal > coalesce($2::int, -1) ORDER BY m.ordinal LIMIT $3`,
      [id, after, limit + 1],
    );
    const shown = rows.slice(0, limit);
    return {
      items: shown.map(({ member }) => member),
      next: rows.length > limit ? String(shown[shown.length - 1]?.ordinal) : undefined,
    };
  }
}
