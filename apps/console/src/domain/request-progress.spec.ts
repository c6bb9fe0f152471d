import { describe, expect, it } from '@jest/globals';
import { actNamed, answeredBy, conclusionOf, type Seen, targetOf } from './request-progress.js';

const ID = 'request-1';
const seen = (subject: string, change: Partial<Seen> = {}): Seen => ({
  subject,
  correlationId: ID,
  data: {},
  ...change,
});
const act = (name: string) => {
  const found = actNamed(name);
  if (!found) throw new Error(`no act ${name}`);
  return found;
};

describe('a request', () => {
  it.each<[string, Seen, string | undefined]>([
    ['container.stop', seen('container.stopped'), 'done'],
    ['container.stop', seen('container.stopped', { correlationId: 'other' }), undefined],
    ['container.stop', seen('container.failed'), undefined],
    ['container.restart', seen('container.stopped'), undefined],
    ['container.restart', seen('container.failed', { data: { reason: 'unhealthy' } }), 'failed'],
    ['container.create', seen('container.configured'), undefined],
    ['container.create', seen('container.started'), 'done'],
    ['container.create', seen('container.rejected', { data: { requestId: ID, reason: 'no-host' } }), 'refused'],
    // A consequence of it was refused, not it.
    ['rollout.start', seen('container.rejected', { data: { requestId: 'other' } }), undefined],
    ['rollout.start', seen('container.updated'), undefined],
    ['rollout.start', seen('rollout.started', { data: { requestId: ID } }), 'done'],
    ['rollout.abort', seen('status.rollout.x', { causationId: ID }), 'done'],
    ['host.drain', seen('host.drain.requested', { causationId: ID }), undefined],
    ['host.drain', seen('container.moved'), undefined],
    ['host.drain', seen('host.cordoned', { causationId: ID }), 'done'],
    [
      'image.build',
      seen('image.rejected', { data: { requestId: ID, reason: 'test-failed', message: 'm' } }),
      'refused',
    ],
  ])('%s is ended by %j: %s', (name, message, outcome) => {
    expect(conclusionOf(act(name), ID, message)?.outcome).toBe(outcome);
  });

  it('is found by every id that a message has', () => {
    expect([...answeredBy(seen('a.b', { causationId: 'c', data: { requestId: 'r' } }))]).toEqual([ID, 'c', 'r']);
    expect([...answeredBy(seen('a.b', { data: { requestId: 7 } }))]).toEqual([ID]);
  });

  it.each([
    ['container.stop', { id: 'i' }, { target: 'i', tenant: null }],
    ['container.stop', { name: 'shop', tenant: 'acme' }, { target: 'shop', tenant: 'acme' }],
    ['container.create', { name: 'shop' }, { target: 'shop', tenant: 'default' }],
    ['container.create', { name: { $ne: 1 } }, { target: null, tenant: 'default' }],
    ['host.drain', { host: 'h-1' }, { target: 'h-1', tenant: null }],
    ['rollout.start', { to: 'debian-12@v2' }, { target: 'debian-12@v2', tenant: null }],
    ['tenant.change', { tenant: 'acme' }, { target: 'acme', tenant: 'acme' }],
  ])('%s of %j is about %j', (name, data, about) => {
    expect(targetOf(act(name), data)).toEqual(about);
  });
});
