import { Controller, Inject } from '@nestjs/common';
import {
  containerStatus,
  HOST_HEARTBEATS,
  type HostHeartbeat,
  STORAGE_HEARTBEATS,
  type StorageHeartbeat,
  SUBJECTS,
} from '@plinth/contracts';
import { newId, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { recordHostHeartbeat, recordStorageHeartbeat, recoverContainers } from './host.store.js';
import { saveReportedPolicies } from '../network/tenant-egress.store.js';
import { announceHost, announceStorage } from '../placement/node-status.store.js';
import { retirementsToRepeat } from '../images/retirement.store.js';
import { statusOf } from '../containers/domain/container-record.js';

/** Heartbeats of hosts and storage nodes; a name in the body that is not the subject's is ignored. */
@Controller()
export class HeartbeatsHandler {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @OnEvent(HOST_HEARTBEATS)
  async host(event: ReceivedEvent<HostHeartbeat>): Promise<void> {
    const { host } = event.data;
    if (event.tokens[2] !== host) return;
    await this.outbox.work({ correlationId: newId() }, async (unit) => {
      const meaning = await recordHostHeartbeat(unit.db, event.data);
      const { tenantPolicies } = event.data;
      if (tenantPolicies) await saveReportedPolicies(unit.db, host, tenantPolicies);
      if (meaning === 'known') return;
      if (meaning !== 'changed') {
        const subject = meaning === 'joined' ? SUBJECTS.hostJoined : SUBJECTS.hostRecovered;
        unit.publish(subject, { host, lastSeenAt: new Date().toISOString() }, { aggregate: `host:${host}` });
      }
      await announceHost(unit, host);
      if (meaning === 'recovered') {
        for (const record of await recoverContainers(unit.db, host)) {
          unit.publish(containerStatus(record.id), statusOf(record));
        }
      }
    });
  }

  @OnEvent(STORAGE_HEARTBEATS)
  async storage(event: ReceivedEvent<StorageHeartbeat>): Promise<void> {
    const { node } = event.data;
    if (event.tokens[2] !== node) return;
    await this.outbox.work({ correlationId: newId() }, async (unit) => {
      const meaning = await recordStorageHeartbeat(unit.db, event.data);
      if (meaning === 'joined' || meaning === 'recovered') {
        const subject = meaning === 'joined' ? SUBJECTS.storageJoined : SUBJECTS.storageRecovered;
        const data = { node, lastSeenAt: new Date().toISOString() };
        unit.publish(subject, data, { aggregate: `storage:${node}` });
      }
      if (meaning !== 'known') await announceStorage(unit, node);
      // A node that was lost for longer than the bus keeps messages still holds versions that were retired meanwhile.
      for (const image of await retirementsToRepeat(unit.db, event.data.images)) {
        unit
          .causedBy({ correlationId: newId() })
          .publish(SUBJECTS.imageRetired, image, { aggregate: `image:${image.name}` });
      }
    });
  }
}
