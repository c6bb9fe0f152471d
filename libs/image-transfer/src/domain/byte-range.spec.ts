import { describe, expect, it } from '@jest/globals';
import { answerRange, type RangeAnswer, type RangeRequest } from './byte-range.js';

const ETAG = '"sha256:x"';
const WHOLE = { status: 200, start: 0, end: 99 } as const;
const part = (start: number, end: number): RangeAnswer => ({ status: 206, start, end });

describe('answerRange', () => {
  it.each<[string, RangeRequest, RangeAnswer]>([
    ['no range', {}, WHOLE],
    ['the first bytes', { range: 'bytes=0-9' }, part(0, 9)],
    ['to the end', { range: 'bytes=90-' }, part(90, 99)],
    ['the last bytes', { range: 'bytes=-5' }, part(95, 99)],
    ['more last bytes than there are', { range: 'bytes=-500' }, part(0, 99)],
    ['an end behind the end', { range: 'bytes=50-5000' }, part(50, 99)],
    ['a start behind the end', { range: 'bytes=100-' }, { status: 416 }],
    ['no last bytes', { range: 'bytes=-0' }, { status: 416 }],
    ['a range backwards', { range: 'bytes=9-0' }, WHOLE],
    ['several ranges', { range: 'bytes=0-1,5-6' }, WHOLE],
    ['another unit', { range: 'lines=0-1' }, WHOLE],
    ['nonsense', { range: 'bytes=-' }, WHOLE],
    ['a very long range', { range: `bytes=${'0'.repeat(1000)}-` }, WHOLE],
    ['a range of the same content', { range: 'bytes=1-2', ifRange: ETAG }, part(1, 2)],
    ['a range of other content', { range: 'bytes=1-2', ifRange: '"other"' }, WHOLE],
    ['a range by date', { range: 'bytes=1-2', ifRange: 'Sat, 01 Jan 2000 00:00:00 GMT' }, WHOLE],
    ['a known tag', { ifNoneMatch: `"a", ${ETAG}` }, { status: 304 }],
    ['a known weak tag', { ifNoneMatch: `W/${ETAG}` }, { status: 304 }],
    ['any tag', { ifNoneMatch: '*' }, { status: 304 }],
    ['another tag', { ifNoneMatch: '"a"' }, WHOLE],
    ['a demanded tag', { ifMatch: ETAG, range: 'bytes=0-0' }, part(0, 0)],
    ['a demanded other tag', { ifMatch: '"a"' }, { status: 412 }],
  ])('answers %s', (_, request, expected) => {
    expect(answerRange(request, ETAG, 100)).toEqual(expected);
  });

  it('has no range of an empty file', () => {
    expect(answerRange({ range: 'bytes=0-' }, ETAG, 0)).toEqual({ status: 416 });
    expect(answerRange({}, ETAG, 0)).toEqual({ status: 200, start: 0, end: -1 });
  });
});
