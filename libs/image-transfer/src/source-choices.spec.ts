import type { ImageSource, ProductionImage } from '@plinth/contracts';
import { failed } from './domain/failure.js';
import { SourceChoices } from './source-choices.js';

const digest = `sha256:${'a'.repeat(64)}`;
const at = (node: string): ImageSource => ({ url: `http://${node}/x`, dataCenter: 'east', node });
const state = (...holders: ImageSource[]): ProductionImage => ({
  ...{ name: 'os', version: 'v1', state: 'promoted', contentDigest: digest, manifestDigest: digest },
  ...{ archiveDigest: digest, archiveBytes: 1, unpackedBytes: 5, sources: [{ url: 'http://builder/x' }, ...holders] },
  seeds: ['a', 'b', 'c'].map(at),
});
const STEP_MS = 10_000;
const outcome = failed('repository-unreachable', 'gone');

let now: number;
let choices: SourceChoices;
beforeEach(() => {
  now = 1_000;
  choices = new SourceChoices({ node: 'c', dataCenter: 'east' }, () => now);
});
const wait = (...holders: ImageSource[]): number => {
  const plan = choices.plan(state(...holders));
  return plan && 'waitMs' in plan ? plan.waitMs : 0;
};

it('waits from when the version is first wanted', () => {
  expect(wait()).toBeGreaterThanOrEqual(2 * STEP_MS);
  now += 2 * STEP_MS + 10;
  expect(wait()).toBe(0);
});

it('waits again for the next one when the only machine that had it failed, however long it waited for that', () => {
  now += STEP_MS;
  expect(wait(at('a'))).toBe(0);
  now += 100 * STEP_MS;
  expect(wait(at('a'))).toBe(0);
  choices.learn(state(), { outcome, downloadedBytes: 0, failedPeers: ['http://a/x'] });
  // Of the three seeds one is gone, and one is before this machine.
  expect(wait(at('a'))).toBeGreaterThanOrEqual(STEP_MS);
  choices.giveUp(state(), 'http://b/x');
  expect(wait(at('a'))).toBe(0);
});

it('asks one that failed again after a while, and forgets all when it has the version', () => {
  choices.learn(state(), { outcome, downloadedBytes: 0, failedPeers: ['http://a/x', 'http://b/x'] });
  now += 300_001;
  expect(choices.plan(state(at('a')))).toMatchObject({ image: { peers: { near: ['http://a/x'] } } });
  const installed = { contentDigest: digest, mountScriptDigest: digest, unpackedBytes: 1, downloadedBytes: 1 };
  choices.learn(state(), { outcome: { ok: true, value: installed }, downloadedBytes: 1 });
  expect(wait()).toBeGreaterThanOrEqual(2 * STEP_MS);
});
