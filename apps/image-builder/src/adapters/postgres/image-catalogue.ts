/** The catalogue in PostgreSQL: version numbers, builds, which builder works on them, their results. */
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { ImagePackage, ImageTestResult, SignedStatement } from '@plinth/contracts';
import type { DataSource, EntityManager, Repository } from 'typeorm';
import type { ImageBuild, ManifestSummary, PromotionRecord } from '../../domain/image-build.js';
import { ACTIVE_STATES, type BuildState } from '../../domain/version-states.js';
import { ImageBuildSchema, type ImageBuildRow } from './image-build.schema.js';

export interface NewBuild {
  readonly buildId: string;
  readonly name: string;
  readonly requestId: string;
  readonly correlationId: string;
  readonly recipe: string;
  readonly recipeDigest: string;
}

/** A builder that does not renew its lease for this long loses its builds to the other builders. */
export const LEASE_SECONDS = 20;

/** Another builder has taken the build: the caller's results no longer count. */
export class LeaseLostError extends Error {
  constructor(buildId: string) {
    super(`build ${buildId} belongs to another builder`);
    this.name = 'LeaseLostError';
  }
}

@Injectable()
export class ImageCatalogue {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  private builds(manager: EntityManager = this.source.manager): Repository<ImageBuildRow> {
    return manager.getRepository(ImageBuildSchema);
  }

  /** Assigns the next number of the name; two transactions never get the same, and a number is never assigned again. */
  async add(manager: EntityManager, build: NewBuild): Promise<number> {
    const rows: { last_number: number }[] = await manager.query(
      `INSERT INTO image_name (name, last_number) VALUES ($1, 1)
       ON CONFLICT (name) DO UPDATE SET last_number = image_name.last_number + 1 RETURNING last_number`,
      [build.name],
    );
    const number = rows[0]?.last_number;
    if (number === undefined) throw new Error('PostgreSQL returned no version number');
    await this.builds(manager).insert({ ...build, number, state: 'queued' });
    return number;
  }

  find(name: string, number: number): Promise<ImageBuild | null> {
    return this.builds().findOneBy({ name, number });
  }

  /** Locks the row until the end of the transaction. */
  lock(manager: EntityManager, name: string, number: number): Promise<ImageBuild | null> {
    return this.builds(manager).findOne({ where: { name, number }, lock: { mode: 'pessimistic_write' } });
  }

  /** The newest version of a name that may be built on: in production if there is one, else tested. */
  async newest(name: string): Promise<ImageBuild | null> {
    return (await this.inProduction(name)) ?? this.newestIn('tested', name);
  }

  /** The newest version of a name that storage nodes may have. */
  inProduction(name: string): Promise<ImageBuild | null> {
    return this.newestIn('promoted', name);
  }

  private newestIn(state: BuildState, name: string): Promise<ImageBuild | null> {
    return this.builds().findOne({ where: { name, state }, order: { number: 'DESC' } });
  }

  inState(state: BuildState): Promise<ImageBuild[]> {
    return this.builds().find({ where: { state }, order: { requestedAt: 'ASC' } });
  }

  /**
   * Takes the oldest build that waits or whose holder is silent.
   * @param running ids of builds that the caller works on: it renews their leases, or loses them to others
   */
  async claim(owner: string, running: readonly string[]): Promise<ImageBuild | null> {
    return this.source.transaction(async (manager) => {
      const rows: { build_id: string }[] = await manager.query(
        `SELECT build_id FROM image_build WHERE state = ANY($1) AND (lease_until IS NULL OR lease_until < now())
            AND build_id <> ALL($2)
         ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
        [ACTIVE_STATES, running],
      );
      const buildId = rows[0]?.build_id;
      if (buildId === undefined) return null;
      await manager.query(
        `UPDATE image_build SET owner = $2, epoch = epoch + 1, attempts = attempts + 1,
           lease_until = now() + make_interval(secs => $3),
           started_at = COALESCE(started_at, now()) WHERE build_id = $1`,
        [buildId, owner, LEASE_SECONDS],
      );
      return this.builds(manager).findOneByOrFail({ buildId });
    });
  }

  /** @returns false when the build belongs to another builder */
  async renew(build: ImageBuild): Promise<boolean> {
    const [, renewed]: [unknown, number] = await this.source.query(
      'UPDATE image_build SET lease_until = now() + make_interval(secs => $3) WHERE build_id = $1 AND epoch = $2',
      [build.buildId, build.epoch, LEASE_SECONDS],
    );
    return renewed === 1;
  }

  /** Releases a build: another builder may take it at once, and it does not count as an attempt. */
  async release(build: ImageBuild): Promise<void> {
    await this.source.query(
      `UPDATE image_build SET owner = NULL, lease_until = NULL, attempts = attempts - 1
        WHERE build_id = $1 AND epoch = $2`,
      [build.buildId, build.epoch],
    );
  }

  /** Releases the builds that a dead process of this service id held. */
  async releaseAllOf(owner: string): Promise<void> {
    await this.source.query('UPDATE image_build SET lease_until = NULL WHERE owner = $1 AND state = ANY($2)', [
      owner,
      ACTIVE_STATES,
    ]);
  }

  /** Locks the row and changes it. @throws LeaseLostError when another builder has it */
  async advance(
    manager: EntityManager,
    build: ImageBuild,
    state: BuildState,
    changes: Partial<Outcome> = {},
  ): Promise<void> {
    const done = !ACTIVE_STATES.includes(state);
    const result = await this.builds(manager).update(
      { buildId: build.buildId, epoch: build.epoch },
      { state, ...changes, ...(done ? { owner: null, leaseUntil: null } : {}) },
    );
    if (result.affected !== 1) throw new LeaseLostError(build.buildId);
  }

  async setPromotion(
    manager: EntityManager,
    build: ImageBuild,
    state: BuildState,
    promotion: PromotionRecord,
  ): Promise<void> {
    await this.builds(manager).update({ buildId: build.buildId }, { state, promotion });
  }

  /** Marks a version as retired for ever: its number is never assigned again. */
  async setRetired(manager: EntityManager, build: ImageBuild): Promise<void> {
    await this.builds(manager).update({ buildId: build.buildId }, { state: 'retired' });
  }

  /** Debian packages of a version; null: it was built before they were recorded. */
  async packages(build: ImageBuild): Promise<readonly ImagePackage[] | null> {
    const rows: { packages: ImagePackage[] | null }[] = await this.source.query(
      'SELECT packages FROM image_build WHERE build_id = $1',
      [build.buildId],
    );
    return rows[0]?.packages ?? null;
  }

  /** @returns whether the caller is to take the step: no transaction that was committed has */
  async beginUpgradeStep(manager: EntityManager, step: string): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      'INSERT INTO upgrade_step (step) VALUES ($1) ON CONFLICT DO NOTHING RETURNING step',
      [step],
    );
    return rows.length > 0;
  }

  async setRevoked(manager: EntityManager, build: ImageBuild, revokedReason: string): Promise<void> {
    await this.builds(manager).update({ buildId: build.buildId }, { state: 'revoked', revokedReason });
  }
}

/** Values that a builder writes beside the state. */
export interface Outcome {
  /** null: nothing of the image is left. */
  readonly statement: SignedStatement | null;
  readonly manifest: ManifestSummary | null;
  readonly packages: readonly ImagePackage[] | null;
  readonly parent: string | null;
  readonly builtAt: Date;
  readonly durationMs: number;
  readonly tests: ImageTestResult[];
  readonly logTail: string;
}
