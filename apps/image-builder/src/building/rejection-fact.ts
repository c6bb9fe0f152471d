/** `image.rejected` for a request that is not allowed for the image. */
import { type EventOf, type ExactImageRef, type ImageOperation, SUBJECTS } from '@plinth/contracts';
import type { Decision } from '../domain/version-states.js';

export function rejectionFact(
  operation: ImageOperation,
  requestId: string,
  ref: ExactImageRef,
  decision: Decision<unknown>,
): EventOf<typeof SUBJECTS.imageRejected> {
  if (decision.ok) throw new Error('a request that was accepted is not rejected');
  const { reason, message } = decision.refusal;
  return {
    subject: SUBJECTS.imageRejected,
    data: { operation, requestId, reason, message, name: ref.name, version: ref.version, problems: [] },
  };
}
