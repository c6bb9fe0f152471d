/** What the console asks of the provisioner, which answers for what no status holds. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ContainerDetails,
  type ImageSummary,
  type PayloadOf,
  QUERIES,
  type QueryReply,
  type ReplyOf,
  type RolloutDetails,
} from '@plinth/contracts';
import { type BlastRadius, blastRadius, ClientError, PlinthClient } from '@plinth/client';
import { CONNECTION } from '@plinth/service-kit';
import { type NatsConnection, NatsError } from 'nats';

type Asked = (typeof QUERIES)['container' | 'images' | 'rollout'];
const PATIENCE_MS = 5_000;
const MOST_PAGES = 20;

@Injectable()
export class ProvisionerQueries {
  constructor(@Inject(CONNECTION) private readonly connection: NatsConnection) {}

  container(id: string): Promise<QueryReply<ContainerDetails>> {
    return this.ask(QUERIES.container, { id });
  }

  rollout(id: string): Promise<QueryReply<RolloutDetails>> {
    return this.ask(QUERIES.rollout, { id });
  }

  /** What needs a version. */
  async imageUses(ref: string): Promise<QueryReply<BlastRadius>> {
    try {
      return { ok: true, data: await blastRadius(new PlinthClient(this.connection), ref) };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return { ok: false, reason: error.reason, message: error.message };
    }
  }

  async images(): Promise<QueryReply<readonly ImageSummary[]>> {
    const images: ImageSummary[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const reply = await this.ask(QUERIES.images, { cursor });
      if (!reply.ok) return reply;
      images.push(...reply.data.items);
      cursor = reply.data.next;
      if (cursor === undefined) break;
    }
    return { ok: true, data: images };
  }

  private async ask<S extends Asked>(subject: S, body: PayloadOf<S>): Promise<QueryReply<ReplyOf<S>>> {
    try {
      const reply = await this.connection.request(subject, JSON.stringify(body), { timeout: PATIENCE_MS });
      return reply.json();
    } catch (error) {
      if (!(error instanceof NatsError)) throw error;
      return { ok: false, reason: 'no-answer', message: `no provisioner answers ${subject}` };
    }
  }
}
