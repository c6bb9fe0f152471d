/** Prometheus metrics of the outbox: what waits to be published. All copies of a service show the same. */
import type { DataSource } from 'typeorm';
import { readTogether } from '../http/readings.js';
import type { Logger } from '../logging.js';

/** Beyond it, what waits is not counted any more. */
const MOST_COUNTED = 100_000;

const FAMILIES = {
  plinth_outbox_unsent: {
    help: `Events that are decided and not published, ${MOST_COUNTED} at the most; one for each batch`,
  },
  plinth_outbox_oldest_seconds: { help: 'Age of the oldest event that is decided and not published; 0: there is none' },
};

export function measureOutbox(source: DataSource, logger: Logger): void {
  readTogether(
    FAMILIES,
    async () => {
      const rows: { unsent: number; oldest: number }[] = await source.query(
        `SELECT count(*)::int AS unsent,
                coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest
           FROM (SELECT created_at FROM outbox WHERE sent_at IS NULL
                 UNION ALL SELECT created_at FROM outbox_batch WHERE sent_at IS NULL LIMIT ${MOST_COUNTED}) waiting`,
      );
      const { unsent, oldest } = rows[0] ?? { unsent: 0, oldest: 0 };
      return {
        plinth_outbox_unsent: [{ value: unsent }],
        plinth_outbox_oldest_seconds: [{ value: Math.max(0, oldest) }],
      };
    },
    logger,
  );
}
