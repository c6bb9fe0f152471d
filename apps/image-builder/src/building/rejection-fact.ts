/** `image.rejected` for a request about an image that may not do what was asked. */
import { type ExactImageRef, type ImageOperation, type ImageRejected, SUBJECTS } from '@plinth/contracts';
import type { Decision } from '../domain/lifecycle.js';

export function rejectionFact(
  operation: ImageOperation,
  requestId: string,
  ref: ExactImageRef,
  decision: Decision<unknown>,
): { readonly subject: string; readonly data: ImageRejected } {
  if (decision.ok) throw new Error('what was decided for is not rejected');
  const { reason, message } = decision.refusal;
  return {
    subject: SUBJECTS.imageRejected,
    data: { operation, requestId, reason, message, name: ref.name, version: ref.version, problems: [] },
  };
}
