import { describe, expect, it } from '@jest/globals';
import type { EventEntry } from '@plinth/contracts/console';
import { EventLog, fitsSubject, KEPT_EVENTS, shownData, tenantOfEvent } from './event-log.js';

const STAFF = { role: 'viewer', tenants: [] } as const;
const ACME = { role: 'developer', tenants: ['acme'] } as const;
const tenantOf = (id: string): string | undefined => ({ c1: 'acme', c2: 'zeta' })[id];
const event = (sequence: number, subject: string, data: object = {}): EventEntry => ({
  sequence,
  subject,
  id: `e${sequence}`,
  time: '2026-01-01T12:00:00.000Z',
  correlationId: 'r1',
  causationId: null,
  actor: null,
  source: 'x',
  data: { ...data },
});

describe('events', () => {
  const log = new EventLog();
  for (const entry of [
    event(1, 'container.stop.requested', { id: 'c1' }),
    event(2, 'container.stop.requested', { id: 'c2' }),
    event(3, 'container.stop.requested', { id: 'gone' }),
    event(4, 'container.stopped', { tenant: 'acme', name: 'Shop' }),
    event(5, 'host.lost', { host: 'h-1' }),
    event(6, 'container.requested', { name: 'new' }),
    event(7, 'tenant.changed', { tenant: 'acme' }),
  ])
    log.add(entry);
  const sequences = (items: readonly EventEntry[]): number[] => items.map(({ sequence }) => sequence);

  it('are shown to those who may see them, newest first', () => {
    expect(sequences(log.find(STAFF, {}, tenantOf).items)).toEqual([7, 6, 5, 4, 3, 2, 1]);
    expect(sequences(log.find(ACME, {}, tenantOf).items)).toEqual([4, 1]);
    expect(sequences(log.find(ACME, { tenant: 'zeta' }, tenantOf).items)).toEqual([]);
    expect(sequences(log.since(1, ACME, {}, tenantOf))).toEqual([4]);
  });

  it('come in pages, by filter, and once', () => {
    const page = log.find(STAFF, { limit: 2, subject: 'container.>' }, tenantOf);
    expect(sequences(page.items)).toEqual([6, 4]);
    expect(sequences(log.find(STAFF, { cursor: page.next, subject: 'container.>' }, tenantOf).items)).toEqual([
      3, 2, 1,
    ]);
    expect(sequences(log.find(STAFF, { q: 'shop' }, tenantOf).items)).toEqual([4]);
    expect(log.add(event(7, 'host.lost'))).toBe(false);
  });

  it('are kept up to a number', () => {
    const long = new EventLog();
    for (let sequence = 1; sequence <= 3 * KEPT_EVENTS; sequence++) long.add(event(sequence, 'host.lost'));
    const { oldest } = long.find(STAFF, {}, tenantOf);
    expect(3 * KEPT_EVENTS - oldest).toBeLessThan(1.3 * KEPT_EVENTS);
  });

  it('show no values of environments, and nothing that is long', () => {
    expect(shownData({ name: 'a', deep: [{ ENV: { KEY: 'secret' } }], env: ['x'] })).toEqual({
      name: 'a',
      deep: [{ ENV: { KEY: '…' } }],
      env: '…',
    });
    expect(shownData({ name: 'a', recipe: 'x'.repeat(9_000) })).toEqual({ name: 'a', leftOut: '9024 characters' });
  });
});

it.each([
  ['container.*', 'container.started', true],
  ['container.*', 'container.stop.requested', false],
  ['container.>', 'container.stop.requested', true],
  ['>', 'host.lost', true],
  ['*.lost', 'host.lost', true],
  ['host.lost.x', 'host.lost', false],
  ['host', 'host.lost', false],
])('%s fits %s: %s', (pattern, subject, fits) => {
  expect(fitsSubject(pattern, subject)).toBe(fits);
});

it.each([
  ['container.requested', { name: 'x' }, 'default'],
  ['container.rejected', {}, undefined],
  ['rollout.started', { id: 'c1' }, undefined],
])('%s with %j is of %s', (subject, data, tenant) => {
  expect(tenantOfEvent({ subject, data }, tenantOf)).toBe(tenant);
});
