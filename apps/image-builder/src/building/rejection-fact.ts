/** `image.rejected` for a request about an image that may not do what was asked. */
import { type EventOf, type ExactImageRef, type ImageOperation, SUBJECTS } from '@plinth/contracts';
import type { Decision } from '../domain/lifecycle.js';

export function rejectionFact(
  operation: ImageOperation,
  requestId: string,
  ref: ExactImageRef,
  decision: Decision<unknown>,
): EventOf<typeof SUBJECTS.imageRejected> {
  if (decision.ok) throw new Error('what was decided for is not rejected');
  const { reason, message } = decision.refusal;
  return {
    subject: SUBJECTS.imageRejected,
    data: { operation, requestId, reason, message, name: ref.name, version: ref.version, problems: [] },
  };
}
