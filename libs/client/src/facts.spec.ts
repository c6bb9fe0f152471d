import { describe, expect, it } from '@jest/globals';
import { streamOf } from './history.js';
import { fitsFilter, readFact } from './facts.js';
import { isTarget } from './image-requests.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const fact = {
  ...readFact('container.started', undefined, bytes('{"containerId":"c1"}'), 'p', 0),
  causationId: 'a',
  correlationId: 'r',
};

describe('fitsFilter', () => {
  it.each([
    [{}, true],
    [{ containerId: 'c1' }, true],
    [{ containerId: 'c2' }, false],
    [{ causationId: 'a', correlationId: 'r' }, true],
    [{ causationId: 'a', correlationId: 'x' }, false],
  ])('%j: %j', (filter, fits) => expect(fitsFilter(fact, filter)).toBe(fits));
});

describe('readFact', () => {
  it.each([
    ['{"a":1}', { a: 1 }],
    ['7', { value: 7 }],
    ['null', { value: null }],
    ['{', { unreadable: 'ew==' }],
  ])('keeps the body %j visible', (body, data) =>
    expect(readFact('image.built', undefined, bytes(body), 'p', 0).data).toEqual(data),
  );
});

describe('streamOf', () => {
  it.each([
    ['>', 'PLINTH_EVENTS'],
    ['container.*', 'PLINTH_EVENTS'],
    ['*.requested', 'PLINTH_EVENTS'],
    ['report.>', 'PLINTH_REPORTS'],
    ['status.container.*', 'PLINTH_STATUS'],
    ['deadletter.provisioner', 'PLINTH_DEADLETTERS'],
  ])('%s is in %s', (subject, stream) => expect(streamOf(subject)).toBe(stream));
  it.each(['nothing.here', '', 'query.hosts'])('%j is stored nowhere', (subject) =>
    expect(() => streamOf(subject)).toThrow(/nothing is stored/),
  );
});

describe('isTarget', () => {
  const node = { node: 'sn-1', datacenter: 'west', labels: { tier: 'fast' } };
  it.each([
    [undefined, true],
    [['sn-1'], true],
    [['sn-2'], false],
    [['datacenter=west'], true],
    [['datacenter=east', 'tier=fast'], true],
    [['tier=slow'], false],
  ])('%j: %j', (to, meant) => expect(isTarget(node, to)).toBe(meant));
});
