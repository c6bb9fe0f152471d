/** Queries that operators send to this host directly: exec, logs, stats. */
import { Inject, Injectable } from '@nestjs/common';
import { agentExec, agentLogs, agentStats } from '@plinth/contracts';
import { CONNECTION, LOGGER, type Logger } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { QueryServer } from '../adapters/query-server.js';
import { HostAgentConfig } from '../config.js';
import { ExecHandler } from './exec.handler.js';
import { LogsHandler } from './logs.handler.js';
import { StatsHandler } from './stats.handler.js';

@Injectable()
export class AgentQueries {
  private readonly server: QueryServer;

  constructor(
    @Inject(CONNECTION) connection: NatsConnection,
    @Inject(LOGGER) logger: Logger,
    @Inject(HostAgentConfig) private readonly config: HostAgentConfig,
    @Inject(ExecHandler) private readonly exec: ExecHandler,
    @Inject(LogsHandler) private readonly logs: LogsHandler,
    @Inject(StatsHandler) private readonly stats: StatsHandler,
  ) {
    this.server = new QueryServer(connection, logger);
  }

  start(): void {
    const { PLINTH_HOST: host } = this.config;
    this.server.stream(agentExec(host), (query, reply) => this.exec.handle(query, reply));
    this.server.stream(agentLogs(host), (query, reply) => this.logs.handle(query, reply));
    this.server.serve(agentStats(host), (query) => this.stats.handle(query));
  }

  stop(): void {
    this.server.close();
  }
}
