/** The agent's link to the bus: it receives desired state from it and publishes reports to it. */
import { Inject, Injectable } from '@nestjs/common';
import type { Problem } from '@plinth/contracts';
import {
  CONNECTION,
  CONSUMERS,
  type ConsumerSource,
  EventPublisher,
  type OrderedReading,
  type ReadinessCheck,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { isDesired, watchDesiredState, watchProduction } from '../adapters/desired-state-watch.js';
import { emptyRecord, firstSequence } from '../domain/local-record.js';
import { AGENT_SERVICES } from '../tokens.js';
import { Fleet } from './fleet.js';
import type { AgentServices } from './agent-services.js';

@Injectable()
export class BusLink {
  private watch: OrderedReading | undefined;
  private production: OrderedReading | undefined;

  readonly readiness: ReadinessCheck = {
    name: 'desired-state',
    check: async () => (this.watch ? (this.watch.problem() ?? this.production?.problem()) : 'not requested yet'),
  };

  constructor(
    @Inject(AGENT_SERVICES) private readonly services: AgentServices,
    @Inject(Fleet) private readonly fleet: Fleet,
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(CONSUMERS) private readonly consumers: ConsumerSource,
    @Inject(EventPublisher) private readonly publisher: EventPublisher,
  ) {}

  start(): void {
    const { connection, fleet } = this;
    const { host, imageReports, logger, neighbours, policies, reporter, supply } = this.services;
    reporter.attach(this.publisher);
    imageReports?.attach(this.publisher);
    fleet.clearTombstones((id) => isDesired(connection, host, id));
    this.watch = watchDesiredState(
      connection,
      this.consumers,
      host,
      {
        accept: (value, cause) => fleet.accept(value, cause),
        neighbours: (part) => neighbours.accept(part),
        tenantEgress: (value) => policies.accept(value, fleet.serves(value.tenantNumber)),
        images: (value) => supply?.wish(value),
        caughtUp: () => {
          neighbours.caughtUp((tenantNumber) => fleet.serves(tenantNumber));
          policies.caughtUp((tenantNumber) => fleet.serves(tenantNumber));
        },
        refuse: (id, generation, problems) => {
          if (id !== undefined && !fleet.has(id)) this.reportRefused(id, generation, problems);
        },
      },
      logger,
    );
    if (supply)
      this.production = watchProduction(
        connection,
        this.consumers,
        { accept: (value) => supply.accept(value), caughtUp: () => supply.productionIsKnown() },
        logger,
      );
    void this.announceAfterReconnects();
  }

  async stop(): Promise<void> {
    await Promise.all([this.watch?.close(), this.production?.close()]);
  }

  /** The bus may have lost messages that it had acknowledged: present states are reported again. */
  private async announceAfterReconnects(): Promise<void> {
    for await (const status of this.connection.status()) if (status.type === 'reconnect') this.fleet.announceAll();
  }

  /** Reports an invalid config of a container that is not on this host. */
  private reportRefused(containerId: string, generation: number, problems: readonly Problem[]): void {
    const { host, bootId, clock, reporter, logger } = this.services;
    const list = problems.map((problem) => `${problem.path}: ${problem.message}`).join('; ');
    const message = `the config is not valid: ${list}`.slice(0, 4000);
    const sequence = firstSequence(emptyRecord(bootId), clock.now());
    const at = new Date().toISOString();
    reporter
      .send({ kind: 'failed', host, containerId, generation, sequence, at, reason: 'internal-error', message })
      .catch((error: unknown) => logger.error({ err: error, containerId }, 'refusal could not be reported'));
  }
}
