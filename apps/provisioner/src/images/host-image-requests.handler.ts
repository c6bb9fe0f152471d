import { Controller, Inject } from '@nestjs/common';
import {
  type ImageCacheOperation,
  type ImageEvictRequested,
  type ImagePinRequested,
  type ImagePrefetchRequested,
  type Labels,
  parseExactImageRef,
  SUBJECTS,
} from '@plinth/contracts';
import {
  causeOf,
  claimEvent,
  OnEvent,
  Outbox,
  PermanentError,
  type ReceivedEvent,
  type UnitOfWork,
} from '@plinth/service-kit';
import { cacheRefusal } from './domain/host-images.js';
import {
  addPinRule,
  askedHosts,
  changeWishes,
  lockPinRules,
  removePinRules,
  stateOfVersion,
} from './host-images.store.js';

interface Asked {
  readonly image: string;
  readonly hosts?: readonly string[];
  readonly labels?: Labels;
}

/** `image.prefetch.requested`, `image.pin.requested`, `image.evict.requested` → `image.cache.changed`, or `image.rejected`. */
@Controller()
export class HostImageRequestsHandler {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @OnEvent(SUBJECTS.imagePrefetchRequested, { concurrency: 4 })
  async prefetch(event: ReceivedEvent<ImagePrefetchRequested>): Promise<void> {
    await this.decide(event, 'prefetch');
  }

  @OnEvent(SUBJECTS.imagePinRequested, { concurrency: 4 })
  async pin(event: ReceivedEvent<ImagePinRequested>): Promise<void> {
    await this.decide(event, event.data.pinned ? 'pin' : 'unpin');
  }

  @OnEvent(SUBJECTS.imageEvictRequested, { concurrency: 4 })
  async evict(event: ReceivedEvent<ImageEvictRequested>): Promise<void> {
    await this.decide(event, 'evict');
  }

  private async decide(event: ReceivedEvent<Asked>, operation: ImageCacheOperation): Promise<void> {
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      await change(unit, event.id, event.data, operation);
    });
  }
}

async function change(
  unit: UnitOfWork,
  requestId: string,
  asked: Asked,
  operation: ImageCacheOperation,
): Promise<void> {
  const { image, hosts, labels = {} } = asked;
  const ref = parseExactImageRef(image);
  if (!ref) throw new PermanentError('the image reference passed its contract but is not valid');
  const { name, version } = ref;
  const rejected = operation === 'unpin' ? 'pin' : operation;
  const refuse = (reason: 'invalid-request' | 'host-not-found' | 'no-store', message: string): void =>
    unit.refuse(SUBJECTS.imageRejected, { operation: rejected, reason, message, name, version });
  const refusal = cacheRefusal(operation, await stateOfVersion(unit.db, name, version), image);
  if (refusal) return unit.refuse(SUBJECTS.imageRejected, { operation: rejected, ...refusal, name, version });
  if (hosts && Object.keys(labels).length > 0)
    return refuse('invalid-request', 'hosts are named, or found by their labels: not both');
  // By labels, or for all: hosts that join later come under it too.
  const isRule = hosts === undefined && (operation === 'pin' || operation === 'unpin');
  if (isRule) await lockPinRules(unit.db);
  const found = await askedHosts(unit.db, hosts, labels);
  const missing = (hosts ?? []).filter((host) => !found.some((known) => known.host === host));
  if (missing.length > 0)
    return refuse('host-not-found', `there is no host ${missing.slice(0, 5).join(', ')}; plinth hosts lists all hosts`);
  const without = found.filter(({ hasStore }) => !hasStore).map(({ host }) => host);
  if (without.length > 0 || (found.length === 0 && !isRule))
    return refuse(
      'no-store',
      `${without.length > 0 ? without.slice(0, 5).join(', ') : 'none of the hosts that were asked for'} ` +
        'has no store of images of its own: PLINTH_IMAGES=own gives a host one',
    );
  if (isRule && operation === 'pin') await addPinRule(unit.db, image, labels);
  if (isRule && operation === 'unpin') await removePinRules(unit.db, image, labels);
  const changed = await changeWishes(
    unit.db,
    operation,
    image,
    found.map(({ host }) => host),
  );
  const data = { operation, requestId, name, version, hosts: changed };
  unit.publish(SUBJECTS.imageCacheChanged, data, { aggregate: `image-cache:${image}` });
}
