/**
 * Changes ports, egress and limits of one container: load, decide (domain/requested-change.ts), reserve, write, publish;
 * in one transaction. Its host answers later.
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ChangeablePart,
  type ContainerChangeRequested,
  containerStatus,
  desiredContainer,
  type PublishedPort,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import { ProvisionerConfig } from '../config.js';
import { parsePortRange, type PortRange, portsHeld, portWishes } from '../network/domain/host-ports.js';
import { changePorts } from '../network/domain/port-change.js';
import { portsOn, portsTakenByOthers, replacePorts } from '../network/host-port.store.js';
import { growthRefusal, type TenantQuota } from '../placement/domain/tenant-quota.js';
import { lockTenantUsage } from '../placement/tenant.store.js';
import { missingLimitsOf, openChange, resize } from './change.store.js';
import { findContainer } from './container-action.js';
import { saveContainer } from './container.store.js';
import { type ContainerRecord, factOf, statusOf } from './domain/container-record.js';
import { requestedStep } from './domain/requested-step.js';
import {
  changedConfig,
  type ChangeRefusal,
  changeRefusal,
  requestedValues,
  unheldChange,
} from './domain/requested-change.js';

type Request = ReceivedEvent<ContainerChangeRequested>;
type Changed = { readonly ok: true; readonly record: ContainerRecord; readonly parts: readonly ChangeablePart[] };

@Injectable()
export class ContainerChange {
  private readonly quota: TenantQuota;
  private readonly portRange: PortRange;

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
  ) {
    this.quota = {
      memoryBytes: config.PLINTH_TENANT_MAX_MEMORY_BYTES,
      diskBytes: config.PLINTH_TENANT_MAX_DISK_BYTES,
    };
    const range = parsePortRange(config.PLINTH_PORT_RANGE);
    if (!range) throw new Error(`${config.PLINTH_PORT_RANGE} is no range of ports`);
    this.portRange = range;
  }

  async apply(event: Request): Promise<void> {
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const found = await findContainer(unit.db, event.data);
      // What it has reserved before it is refused is given back.
      await unit.db.query('SAVEPOINT change');
      const outcome = found.ok ? await this.change(unit, found.record, event) : found;
      if (outcome.ok) return announce(unit, event, outcome);
      await unit.db.query('ROLLBACK TO SAVEPOINT change');
      const record = found.ok ? found.record : undefined;
      unit.refuse(SUBJECTS.containerRejected, {
        operation: 'change',
        reason: outcome.reason,
        message: outcome.message,
        name: record?.config.name ?? event.data.name,
        tenant: record?.config.tenant ?? event.data.tenant,
        containerId: record?.id ?? event.data.id,
      });
    });
  }

  private async change(unit: UnitOfWork, record: ContainerRecord, event: Request): Promise<Changed | ChangeRefusal> {
    const { config } = record;
    const isRestart = event.data.restart === true;
    const step = requestedStep(record, isRestart ? 'restart-requested' : 'change-requested');
    if (!step.ok) return step;
    const { state } = step;
    const impossible = changeRefusal(config, event.data);
    if (impossible) return impossible;
    const values = requestedValues(config, event.data);
    if (values.changed.some((part) => part === 'io' || part === 'bandwidth')) {
      const unheld = unheldChange(config, values, await missingLimitsOf(unit.db, config.host));
      if (unheld) return unheld;
    }
    // Before the host's row is locked, as when a container is made.
    const overQuota = await this.beyondQuota(unit, record, values.limits);
    if (overQuota !== undefined) return refusal('quota-exceeded', overQuota);
    const { limits } = values;
    const isResized = limits.memoryBytes !== config.limits.memoryBytes || limits.cpus !== config.limits.cpus;
    const place = { id: record.id, host: config.host };
    if (isResized && !(await resize(unit.db, place, config.limits, limits, this.config.PLINTH_CPU_OVERCOMMIT)))
      return refusal(
        'no-capacity',
        `${config.host}, where ${config.name} is, has no room for ${Math.ceil(limits.memoryBytes / 1024 ** 2)} MiB of ` +
          `memory and ${limits.cpus} cores instead of what it has; ask for less, or drain other containers from there`,
      );
    const ports = await this.portsOf(unit, record, event.data);
    if (!ports.ok) return ports;
    const parts = [...values.changed, ...(ports.ports ? (['ports'] as const) : [])];
    if (parts.length === 0 && !isRestart) return { ok: true, record, parts };
    const times = { requestedAt: new Date(event.storedAtMs).toISOString(), decidedAt: new Date().toISOString() };
    const next = changedConfig(config, values, ports.ports, isRestart, times);
    return { ok: true, record: { ...record, state, config: next }, parts };
  }

  /** Gives it the ports. @returns undefined ports: they stay as they are */
  private async portsOf(
    unit: UnitOfWork,
    { id, config }: ContainerRecord,
    { publish = [], unpublish = [] }: ContainerChangeRequested,
  ): Promise<{ readonly ok: true; readonly ports?: readonly PublishedPort[] } | ChangeRefusal> {
    if (publish.length + unpublish.length === 0) return { ok: true };
    const { host, name, tenant } = config;
    const plan = changePorts(await portsOn(unit.db, id, host), publish, unpublish);
    if (!plan.ok) return refusal('port-taken', plan.message);
    if (!plan.isChanged) return { ok: true };
    const place = await replacePorts(unit.db, host, plan.wishes, { containerId: id, tenant, name }, this.portRange);
    if (place.ok) return { ok: true, ports: place.ports };
    if (place.reason === 'ports-exhausted')
      return refusal(
        'ports-exhausted',
        `on ${host} not enough ports of ${this.config.PLINTH_PORT_RANGE} are free: ask for a host port outside of it, ` +
          'or publish fewer ports',
      );
    const taken = await portsTakenByOthers(unit.db, portWishes(publish), id);
    return refusal(
      'port-taken',
      portsHeld(
        tenant,
        taken.filter((port) => port.host === host),
      ),
    );
  }

  private async beyondQuota(
    unit: UnitOfWork,
    { config: { tenant, limits } }: ContainerRecord,
    wanted: { readonly memoryBytes: number; readonly diskBytes?: number },
  ): Promise<string | undefined> {
    const more = wanted.memoryBytes - limits.memoryBytes;
    const isLargerDisk = (wanted.diskBytes ?? 0) > (limits.diskBytes ?? 0);
    if (more <= 0 && !isLargerDisk) return undefined;
    if (this.quota.memoryBytes === undefined && this.quota.diskBytes === undefined) return undefined;
    const usage = await lockTenantUsage(unit.db, tenant);
    return growthRefusal(
      tenant,
      usage,
      { moreMemory: more, diskBytes: isLargerDisk ? wanted.diskBytes : undefined },
      this.quota,
    );
  }
}

async function announce(unit: UnitOfWork, event: Request, { record, parts }: Changed): Promise<void> {
  const { config } = record;
  const isRestart = event.data.restart === true;
  if (parts.length === 0 && !isRestart) {
    unit.publish(SUBJECTS.containerChanged, {
      ...factOf(config),
      requestId: event.id,
      applied: [],
      pending: [],
      ports: config.ports ?? [],
    });
    return;
  }
  await openChange(unit.db, record.id, config.generation, { requestId: event.id, parts });
  const what = parts.length > 0 ? `change of ${parts.join(', ')} requested` : 'restart requested';
  await saveContainer(unit.db, record, {
    at: config.decidedAt,
    kind: 'configured',
    generation: config.generation,
    message: `${what}${isRestart && parts.length > 0 ? ', with a restart' : ''}`,
  });
  unit.publish(desiredContainer(config.host, record.id), config);
  unit.publish(containerStatus(record.id), statusOf(record));
}

function refusal(reason: ChangeRefusal['reason'], message: string): ChangeRefusal {
  return { ok: false, reason, message };
}
