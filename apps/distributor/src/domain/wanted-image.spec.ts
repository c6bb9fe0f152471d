import { describe, expect, it } from '@jest/globals';
import type { ImagePromoted } from '@plinth/contracts';
import { afterFailure, afterReport, afterSuccess, waitMs, want } from './wanted-image.js';

const now = new Date('2026-01-02T03:04:05.000Z');
const promotion = { name: 'tiny', version: 'v1', contentDigest: 'sha256:00' } as ImagePromoted;
const wanted = want(promotion, { id: 'event-1', correlationId: 'request-1' }, now);
const situation = { node: 'sn-1', now, durationMs: 12 };
const unreachable = { reason: 'repository-unreachable', message: 'refused' } as const;

describe('a wanted image', () => {
  it('is due at once', () => {
    expect(waitMs(wanted, now.getTime(), 60_000)).toBe(0);
  });

  it('is finished after its success was reported', () => {
    const decided = afterSuccess(
      wanted,
      { contentDigest: 'sha256:00', mountScriptDigest: 'sha256:11', unpackedBytes: 5, downloadedBytes: 3 },
      situation,
    );
    expect(decided.report).toMatchObject({
      kind: 'distributed',
      node: 'sn-1',
      name: 'tiny',
      version: 'v1',
      attempt: 1,
      downloadedBytes: 3,
      durationMs: 12,
    });
    expect(afterReport(decided)).toBeUndefined();
  });

  it('waits after a failure that may heal, and stays wanted', () => {
    const decided = afterFailure(wanted, unreachable, 0, situation, 60_000, 0);
    expect(decided.report).toMatchObject({
      kind: 'failed',
      reason: 'repository-unreachable',
      message: 'refused',
      attempt: 1,
      retryInMs: 250,
    });
    const rest = afterReport(decided);
    expect(rest).toMatchObject({ retry: { attempts: 1 }, eventId: 'event-1' });
    expect(rest).not.toHaveProperty('report');
    expect(rest && waitMs(rest, now.getTime() + 100, 60_000)).toBe(150);
  });

  it('is given up after a permanent failure', () => {
    const decided = afterFailure(wanted, { reason: 'bad-archive', message: 'a device' }, 0, situation, 60_000, 0);
    expect(decided.report).toMatchObject({ kind: 'failed', attempt: 1, retryInMs: undefined });
    expect(afterReport(decided)).toBeUndefined();
  });

  it('does not wait for a time from a clock that was set back since', () => {
    const rest = { ...wanted, notBefore: now.getTime() + 3_600_000 + 60_000 };
    expect(waitMs(rest, now.getTime(), 60_000)).toBe(0);
  });
});
