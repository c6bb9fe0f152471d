import { Controller, Inject } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
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
  type StorageQuery,
  type StorageStatus,
} from '@plinth/contracts';
import { QueryStore } from '../adapters/postgres/query.store.js';

/** `query.*` by request/reply. */
@Controller()
export class QueriesHandler {
  constructor(@Inject(QueryStore) private readonly store: QueryStore) {}

  @MessagePattern(QUERIES.containers)
  async containers(query: ContainersQuery): Promise<QueryReply<Page<ContainerStatus>>> {
    return { ok: true, data: await this.store.containers(query) };
  }

  @MessagePattern(QUERIES.container)
  async container(query: ContainerQuery): Promise<QueryReply<ContainerDetails>> {
    const data = await this.store.container(query);
    return data ? { ok: true, data } : { ok: false, reason: 'container-not-found', message: `there is no container ${query.name ?? query.id ?? query.requestId ?? ''}` };
  }

  @MessagePattern(QUERIES.images)
  async images(query: ImagesQuery): Promise<QueryReply<Page<ImageSummary>>> {
    return { ok: true, data: await this.store.images(query.name, query.cursor, query.limit) };
  }

  @MessagePattern(QUERIES.hosts)
  async hosts(query: HostsQuery): Promise<QueryReply<Page<HostStatus>>> {
    return { ok: true, data: await this.store.hosts(query.cursor, query.limit) };
  }

  @MessagePattern(QUERIES.storage)
  async storage(query: StorageQuery): Promise<QueryReply<Page<StorageStatus>>> {
    return { ok: true, data: await this.store.storage(query.cursor, query.limit) };
  }
}
