import { Controller, Inject } from '@nestjs/common';
import {
  HOST_HEARTBEATS,
  type HostHeartbeat,
  STORAGE_HEARTBEATS,
  type StorageHeartbeat,
  SUBJECTS,
} from '@plinth/contracts';
import { type Logger, LOGGER, newId, OnHeartbeats, Outbox, type ReceivedHeartbeat } from '@plinth/service-kit';
import { HostHeartbeats } from './host-heartbeats.js';
import { recordStorageHeartbeat } from './host.store.js';
import { announceStorage } from '../placement/node-status.store.js';
import { retirementsToRepeat } from '../images/retirement.store.js';

/** Heartbeats of hosts and storage nodes; a name in the body that is not the subject's is ignored. */
@Controller()
export class HeartbeatsHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(HostHeartbeats) private readonly heartbeats: HostHeartbeats,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnHeartbeats(HOST_HEARTBEATS)
  async hosts(beats: readonly ReceivedHeartbeat<HostHeartbeat>[]): Promise<void> {
    await this.heartbeats.take(beats.filter(({ sender, data }) => data.host === sender));
  }

  @OnHeartbeats(STORAGE_HEARTBEATS)
  async storage(beats: readonly ReceivedHeartbeat<StorageHeartbeat>[]): Promise<void> {
    for (const { sender: node, data } of beats) {
      if (data.node !== node) continue;
      try {
        await this.takeStorage(node, data);
      } catch (error) {
        this.logger.warn({ err: error, node }, 'heartbeat not handled; the next one may be');
      }
    }
  }

  private async takeStorage(node: string, beat: StorageHeartbeat): Promise<void> {
    await this.outbox.work({ correlationId: newId() }, async (unit) => {
      const meaning = await recordStorageHeartbeat(unit.db, beat);
      if (meaning === 'joined' || meaning === 'recovered') {
        const subject = meaning === 'joined' ? SUBJECTS.storageJoined : SUBJECTS.storageRecovered;
        const data = { node, lastSeenAt: new Date().toISOString() };
        unit.publish(subject, data, { aggregate: `storage:${node}` });
      }
      if (meaning !== 'known') await announceStorage(unit, node);
      // A node that was lost for longer than the bus keeps messages still holds versions that were retired meanwhile.
      for (const image of await retirementsToRepeat(unit.db, beat.images)) {
        unit
          .causedBy({ correlationId: newId() })
          .publish(SUBJECTS.imageRetired, image, { aggregate: `image:${image.name}` });
      }
    });
  }
}
