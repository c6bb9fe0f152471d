import { fitsFilter } from './subject-filter.js';

describe('fitsFilter', () => {
  it.each([
    ['heartbeat.host.h-1', 'heartbeat.host.*', true],
    ['heartbeat.host.h-1.x', 'heartbeat.host.*', false],
    ['heartbeat.host', 'heartbeat.host.*', false],
    ['desired.host.h-1.container.x', 'heartbeat.host.*', false],
    ['container.requested', 'container.requested', true],
    ['container.requested.x', 'container.requested', false],
    ['container.stop.requested', 'container.>', true],
    ['container', 'container.>', false],
    ['a', '>', true],
  ])('%s in %s: %s', (subject, filter, fits) => {
    expect(fitsFilter(subject, filter)).toBe(fits);
  });
});
