/** Requests about images in the hosts' own stores. */
import { type ImageCacheOperation, type Labels, SUBJECTS } from '@plinth/contracts';
import { answerTo } from './image-requests.js';
import type { Fact, PlinthClient } from './plinth-client.js';

const ANSWER_MS = 30_000;

/** Which hosts: by name or by labels; neither: every host that has a store. */
export interface CacheHosts {
  readonly hosts?: readonly string[];
  readonly labels?: Labels;
}

/**
 * Returns when it is decided; the hosts follow.
 * @param image `name@version`
 * @throws ClientError with the reason of the rejection, or `timeout`
 */
export async function changeCache(
  client: PlinthClient,
  operation: ImageCacheOperation,
  image: string,
  { hosts, labels }: CacheHosts,
): Promise<Fact> {
  const named = hosts && hosts.length > 0 ? { hosts: [...hosts] } : {};
  const answers = [SUBJECTS.imageCacheChanged, SUBJECTS.imageRejected];
  const asked = { image, ...named, ...(labels && Object.keys(labels).length > 0 && { labels }) };
  const stream =
    operation === 'evict'
      ? await client.request(SUBJECTS.imageEvictRequested, { image, ...named }, answers)
      : operation === 'prefetch'
        ? await client.request(SUBJECTS.imagePrefetchRequested, asked, answers)
        : await client.request(SUBJECTS.imagePinRequested, { ...asked, pinned: operation === 'pin' }, answers);
  return answerTo(stream, [SUBJECTS.imageCacheChanged], ANSWER_MS, 'provisioner').finally(() => stream.close());
}
