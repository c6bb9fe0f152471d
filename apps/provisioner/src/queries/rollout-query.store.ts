/** Answers for people: rollouts in pages, one rollout with its containers. */
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Page, RolloutDetails, RolloutMember, RolloutStatus } from '@plinth/contracts';
import type { DataSource } from 'typeorm';
import { presentStatus, presentStatuses } from '../rollouts/rollout-announcement.js';
import type { RolloutRow } from '../rollouts/rollout.store.js';

const PAGE = 100;

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
    const members: RolloutMember[] = await this.source.query(
      `SELECT m.container_id AS "containerId", c.name, c.tenant, c.host, m.from_image AS "from", m.to_image AS "to",
              m.phase, m.batch, m.reason, m.message
         FROM rollout_members m JOIN containers c ON c.id = m.container_id
        WHERE m.rollout_id = $1 ORDER BY m.ordinal LIMIT 2000`,
      [row.id],
    );
    return { ...(await presentStatus(this.source.manager, row)), request: row.request, members };
  }
}
