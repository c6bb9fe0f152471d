import { Controller, Inject } from '@nestjs/common';
import {
  type ContainerDetails,
  type ContainerQuery,
  type ContainersQuery,
  type ContainerStatus,
  type HostsQuery,
  type HostStatus,
  type ImagesQuery,
  type ImageSummary,
  type Page,
  QUERIES,
  type QueryReply,
  type RolloutDetails,
  type RolloutMember,
  type RolloutMembersQuery,
  type RolloutQuery,
  type RolloutsQuery,
  type RolloutStatus,
  type StorageQuery,
  type StorageStatus,
  type TenantDetails,
  type TenantQuery,
} from '@plinth/contracts';
import { OnQuery } from '@plinth/service-kit';
import { RolloutQueryStore } from './rollout-query.store.js';
import { QueryStore } from './query.store.js';

/** `query.*` by request/reply. */
@Controller()
export class QueriesHandler {
  constructor(
    @Inject(QueryStore) private readonly store: QueryStore,
    @Inject(RolloutQueryStore) private readonly rolloutStore: RolloutQueryStore,
  ) {}

  @OnQuery(QUERIES.containers)
  async containers(query: ContainersQuery): Promise<QueryReply<Page<ContainerStatus>>> {
    return { ok: true, data: await this.store.containers(query) };
  }

  @OnQuery(QUERIES.container)
  async container(query: ContainerQuery): Promise<QueryReply<ContainerDetails>> {
    const data = await this.store.container(query);
    return data
      ? { ok: true, data }
      : {
          ok: false,
          reason: 'container-not-found',
          message:
            query.name === undefined
              ? `there is no container ${query.id ?? query.requestId ?? ''}`
              : `there is no container ${query.name} of tenant ${query.tenant ?? 'default'}; plinth ps --all lists all containers`,
        };
  }

  @OnQuery(QUERIES.images)
  async images(query: ImagesQuery): Promise<QueryReply<Page<ImageSummary>>> {
    return { ok: true, data: await this.store.images(query.name, query.cursor, query.limit) };
  }

  @OnQuery(QUERIES.hosts)
  async hosts(query: HostsQuery): Promise<QueryReply<Page<HostStatus>>> {
    return { ok: true, data: await this.store.hosts(query.cursor, query.limit) };
  }

  @OnQuery(QUERIES.rollouts)
  async rollouts(query: RolloutsQuery): Promise<QueryReply<Page<RolloutStatus>>> {
    return { ok: true, data: await this.rolloutStore.rollouts(query.all ?? false, query.cursor, query.limit) };
  }

  @OnQuery(QUERIES.rollout)
  async rollout(query: RolloutQuery): Promise<QueryReply<RolloutDetails>> {
    const data = await this.rolloutStore.rollout(query.id, query.requestId);
    return data
      ? { ok: true, data }
      : {
          ok: false,
          reason: 'rollout-not-found',
          message:
            `there is no rollout ${query.id ?? query.requestId ?? ''}; ` + 'plinth rollout ls --all lists all rollouts',
        };
  }

  @OnQuery(QUERIES.rolloutMembers)
  async rolloutMembers(query: RolloutMembersQuery): Promise<QueryReply<Page<RolloutMember>>> {
    return { ok: true, data: await this.rolloutStore.members(query.id, query.cursor, query.limit) };
  }

  @OnQuery(QUERIES.tenant)
  async tenant({ tenant }: TenantQuery): Promise<QueryReply<TenantDetails>> {
    return { ok: true, data: await this.store.tenant(tenant) };
  }

  @OnQuery(QUERIES.storage)
  async storage(query: StorageQuery): Promise<QueryReply<Page<StorageStatus>>> {
    return { ok: true, data: await this.store.storage(query.cursor, query.limit) };
  }
}
