/**
 * Another port of the range for a container whose host can't publish the one that it was given: a program of the host
 * has it, or an agent beside that one. A port that was asked for stays: only the person knows another.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type ContainerReport, containerStatus, desiredContainer } from '@plinth/contracts';
import { causeOf, type Logger, LOGGER, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { ProvisionerConfig } from '../config.js';
import { parsePortRange, type PortRange } from '../network/domain/host-ports.js';
import { givenAgain, mayGiveAgain } from '../network/domain/port-change.js';
import { portsOn, replacePorts } from '../network/host-port.store.js';
import { lockContainer, saveContainer } from './container.store.js';
import { statusOf } from './domain/container-record.js';

@Injectable()
export class OtherPorts {
  private readonly range: PortRange;

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    const range = parsePortRange(config.PLINTH_PORT_RANGE);
    if (!range) throw new Error(`${config.PLINTH_PORT_RANGE} is no range of ports`);
    this.range = range;
  }

  /** For a report of `port-taken`, whose host has written it. Nothing when the container has another config by now. */
  async choose(event: ReceivedEvent<ContainerReport>): Promise<void> {
    const { containerId, host, generation, retryInMs = 0 } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      const record = await lockContainer(unit.db, containerId);
      if (!record || record.config.host !== host || record.config.generation !== generation) return;
      if (record.config.desired !== 'running') return;
      if (!mayGiveAgain(Date.now() - Date.parse(record.config.decidedAt), retryInMs)) return;
      const { name, tenant } = record.config;
      const { wishes, avoid } = givenAgain(await portsOn(unit.db, containerId, host));
      if (avoid.size === 0) return;
      const place = await replacePorts(unit.db, host, wishes, { containerId, tenant, name }, this.range, avoid);
      // The host tries again with those that it has, and reports again.
      if (!place.ok) return;
      const decidedAt = new Date().toISOString();
      const config = { ...record.config, ports: [...place.ports], generation: generation + 1, decidedAt };
      const next = { ...record, config };
      const message = `other host ports, because ${host} can't publish what was given out: ${event.data.message ?? ''}`;
      await saveContainer(unit.db, next, { at: decidedAt, kind: 'configured', generation: config.generation, message });
      unit.publish(desiredContainer(host, containerId), config);
      unit.publish(containerStatus(containerId), statusOf(next));
      this.logger.info({ containerId, host, ports: place.ports, avoided: [...avoid] }, 'other host ports given out');
    });
  }
}
