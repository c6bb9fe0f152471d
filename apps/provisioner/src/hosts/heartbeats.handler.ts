import { Controller, Inject } from '@nestjs/common';
import {
  HOST_HEARTBEATS,
  type HostHeartbeat,
  STORAGE_HEARTBEATS,
  type StorageHeartbeat,
  SUBJECTS,
} from '@plinth/contracts';
import { newId, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { HostHeartbeats } from './host-heartbeats.js';
import { recordStorageHeartbeat } from './host.store.js';
import { announceStorage } from '../placement/node-status.store.js';
import { retirementsToRepeat } from '../images/retirement.store.js';

/** Heartbeats of hosts and storage nodes; a name in the body that is not the subject's is ignored. */
@Controller()
export class HeartbeatsHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(HostHeartbeats) private readonly hosts: HostHeartbeats,
  ) {}

  @OnEvent(HOST_HEARTBEATS)
  async host(event: ReceivedEvent<HostHeartbeat>): Promise<void> {
    const { host } = event.data;
    if (event.tokens[2] === host) await this.hosts.take(event.data);
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
