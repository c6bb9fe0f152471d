/** HTTP conditions and ranges (RFC 9110, 13 and 14) for a file that never changes. */

export interface RangeRequest {
  readonly range?: string;
  readonly ifRange?: string;
  readonly ifNoneMatch?: string;
  readonly ifMatch?: string;
}

export type RangeAnswer =
  | { readonly status: 200; readonly start: 0; readonly end: number }
  | { readonly status: 206; readonly start: number; readonly end: number }
  | { readonly status: 304 | 412 | 416 };

/**
 * @param etag strong, with its quotes
 * @param size bytes of the whole
 * @returns the bytes to send, `end` inclusive; more than one range, or a unit other than bytes, is answered with the
 * whole
 */
export function answerRange(request: RangeRequest, etag: string, size: number): RangeAnswer {
  if (request.ifMatch !== undefined && !matches(request.ifMatch, etag, false)) return { status: 412 };
  if (request.ifNoneMatch !== undefined && matches(request.ifNoneMatch, etag, true)) return { status: 304 };
  const whole: RangeAnswer = { status: 200, start: 0, end: size - 1 };
  if (request.range === undefined || request.range.length > 200) return whole;
  if (request.ifRange !== undefined && request.ifRange.trim() !== etag) return whole;
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(request.range);
  if (!match || (match[1] === '' && match[2] === '')) return whole;
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  if (first === '') {
    const suffix = Number(last);
    return suffix === 0 || size === 0
      ? { status: 416 }
      : { status: 206, start: Math.max(0, size - suffix), end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return whole;
  return start >= size ? { status: 416 } : { status: 206, start, end };
}

function matches(header: string, etag: string, weak: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim();
    return tag === '*' || tag === etag || (weak && tag === `W/${etag}`);
  });
}
