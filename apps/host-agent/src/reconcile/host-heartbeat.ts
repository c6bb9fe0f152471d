/** The heartbeat of this host, published while its agent runs and the bus is available. */
import { Inject, Injectable } from '@nestjs/common';
import { CONNECTION } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { type Heartbeat, startHeartbeat } from '../adapters/heartbeat.js';
import { missingIo } from '../adapters/io-controls.js';
import { HostAgentConfig } from '../config.js';
import { AGENT_SERVICES, RUNTIME_NAME } from '../tokens.js';
import { Fleet } from './fleet.js';
import { ownLabels } from '../domain/own-labels.js';
import type { AgentServices } from './agent-services.js';

@Injectable()
export class HostHeartbeat {
  private heartbeat: Heartbeat | undefined;

  constructor(
    @Inject(HostAgentConfig) private readonly config: HostAgentConfig,
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(AGENT_SERVICES) private readonly services: AgentServices,
    @Inject(RUNTIME_NAME) private readonly runtime: string,
    @Inject(Fleet) private readonly fleet: Fleet,
  ) {}

  start(): void {
    const { config } = this;
    this.heartbeat = startHeartbeat(this.connection, {
      host: config.PLINTH_HOST,
      datacenter: config.PLINTH_DATACENTER,
      labels: ownLabels(config.PLINTH_LABELS, process.arch),
      storageNodes: [...this.services.storage.keys()],
      capacity: {
        memoryBytes: config.PLINTH_CAPACITY_MEMORY_BYTES,
        cpus: config.PLINTH_CAPACITY_CPUS,
        containers: config.PLINTH_CAPACITY_CONTAINERS,
      },
      runtime: this.runtime,
      periodMs: config.PLINTH_HEARTBEAT_SECONDS * 1000,
      network: this.services.networks.problem === undefined,
      cniNetwork: this.services.networks.cniNetwork,
      diskLimits: () => this.services.volumeLimits.nodes,
      ioLimits: this.services.io.controls,
      missingLimits: [
        ...this.services.containers.missingLimits,
        ...(this.services.networks.bandwidthProblem === undefined ? [] : ['bandwidth' as const]),
        ...missingIo(this.services.io, [...this.services.storage.keys()]),
      ],
      ownUsers: () => this.services.users.ownUsersOn(),
      hostUsers: this.services.users.hostUsers,
      address: this.services.networks.address,
      runningContainers: () => this.fleet.running().length,
      images: this.services.supply && (() => this.services.supply?.held() ?? []),
      transfers: () => this.services.supply?.transfers() ?? [],
      servesAt: () => this.services.serving?.servesAt,
      tenantPolicies: () => this.services.policies.inEffect,
    });
    this.services.policies.onChange(() => this.heartbeat?.beat());
    this.services.supply?.onChange(() => this.heartbeat?.beat());
  }

  stop(): void {
    this.heartbeat?.close();
    this.heartbeat = undefined;
  }
}
