/** A suite that can't go on says why at once. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import { ProvisionerSuite } from './provisioner-suite.js';

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, [], 1);
});
afterAll(() => suite?.close());

it('names what was in vain before, and does not wait for long again', async () => {
  const begun = performance.now();
  await expect(suite.until(() => false, 'the first', 0.1)).rejects.toThrow(/^not within 0.1 s: the first;/);
  await expect(suite.until(() => false, 'the second')).rejects.toThrow(/after this was in vain: the first; the second/);
  await expect(suite.fact(SUBJECTS.hostJoined, {})).rejects.toThrow(/after this was in vain: the first; host\.joined/);
  // Two waits of full patience are ten times as long.
  expect(performance.now() - begun).toBeLessThan(100_000);
});

it('names a provisioner that has ended by itself, not one that a test has ended', async () => {
  const [first, second] = suite.provisioners;
  await first?.end('SIGKILL');
  await expect(suite.until(() => false, 'more', 0.1)).rejects.toThrow(/in vain/);
  process.kill(second?.pid ?? 0, 'SIGKILL');
  const ended = /^provisioner ended by itself \(SIGKILL\): .*waited for: /;
  await expect(suite.fact(SUBJECTS.hostJoined, {})).rejects.toThrow(ended);
  await expect(suite.until(() => false, 'anything')).rejects.toThrow(ended);
});
