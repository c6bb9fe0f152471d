import { describe, expect, it } from '@jest/globals';
import { agentStats, deadLetter, hostHeartbeat, hostReport, QUERIES, SUBJECTS } from '@plinth/contracts';
import { assertContract, encodeReplyUnchecked } from './outgoing-contracts.js';

/** jest.config.js switches the check on. */
describe('what leaves a service', () => {
  it.each([
    ['a fact with a field missing', SUBJECTS.hostJoined, { host: 'h-1' }],
    ['a fact with a text too long', SUBJECTS.hostCordoned, { host: 'h'.repeat(64) }],
    ['a report', hostReport('h-1', 'a'.repeat(32)), { kind: 'started' }],
    ['a heartbeat', hostHeartbeat('h-1'), { host: 'h-1' }],
    ['a dead letter', deadLetter('provisioner'), {}],
    ['something without a contract', 'host.exploded', {}],
  ])('%s is thrown back at its sender', (_what, subject, data) => {
    expect(() => assertContract(subject, data)).toThrow(`${subject} would break its own contract`);
  });

  it.each([
    ['a page', QUERIES.hosts, { items: [{ host: 'h-1' }] }],
    ['a list', agentStats('h-1'), [{ containerId: 'none' }]],
    ['what is no list', agentStats('h-1'), {}],
  ])('%s that breaks the contract of the answer is, too', (_what, subject, data) => {
    expect(() => encodeReplyUnchecked(subject, { ok: true, data })).toThrow('would break its own contract');
  });

  it('goes out when it keeps its contract, a refusal always, and a request is checked by its receiver', () => {
    expect(() => assertContract(SUBJECTS.hostCordoned, { host: 'h-1' })).not.toThrow();
    expect(() => assertContract(SUBJECTS.imageRequested, { anything: true })).not.toThrow();
    expect(encodeReplyUnchecked(QUERIES.hosts, { ok: true, data: { items: [] } })).toBe(
      '{"ok":true,"data":{"items":[]}}',
    );
    expect(encodeReplyUnchecked(QUERIES.hosts, { ok: false, reason: 'r', message: 'm' })).toContain('"ok":false');
  });
});
