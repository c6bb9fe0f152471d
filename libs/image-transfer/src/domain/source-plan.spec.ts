import type { ImageSource, ProductionImage } from '@plinth/contracts';
import { planSources } from './source-plan.js';

const digest = `sha256:${'a'.repeat(64)}`;
const at = (dataCenter: string, node: string): ImageSource => ({ url: `http://${node}/x`, dataCenter, node });
const state = (sources: ImageSource[], seeds: ImageSource[] = []): ProductionImage => ({
  ...{ name: 'os', version: 'v1', state: 'promoted', contentDigest: digest, manifestDigest: digest },
  ...{ archiveDigest: digest, archiveBytes: 20 * 1024 ** 2, unpackedBytes: 5 },
  sources: [{ url: 'http://builder/x' }, ...sources],
  seeds,
});
const seeds = ['a', 'b', 'c'].map((node) => at('east', node));
const plan = (image: ProductionImage, node: string, waitedMs = 0, failed: readonly string[] = []) =>
  planSources(image, { node, dataCenter: 'east' }, { waitedMs, aloneMs: waitedMs, failed: new Set(failed) });
const waitOf = (found: ReturnType<typeof plan>): number => (found && 'waitMs' in found ? found.waitMs : 0);

it('has nodes of the own data centre first, then image-builders, then a few others', () => {
  const others = Array.from({ length: 9 }, (_, index) => at('west', `w-${index}`));
  const found = plan(state([at('east', 'a'), at('east', 'me'), ...others], seeds), 'me');
  expect(found).toMatchObject({
    image: { sources: ['http://builder/x'], peers: { near: ['http://a/x'], mayWait: true } },
  });
  expect(found && 'image' in found && found.image.peers?.far).toHaveLength(4);
});

it('sends machines to different ones of many', () => {
  const many = Array.from({ length: 8 }, (_, index) => at('east', `n-${index}`));
  const first = new Set(
    Array.from({ length: 40 }, (_, index) => {
      const found = plan(state(many), `m-${index}`);
      return found && 'image' in found ? found.image.peers?.near[0] : undefined;
    }),
  );
  expect(first.size).toBeGreaterThan(5);
});

it('has the first seed begin at once, and each other machine after those before it', () => {
  const step = 20_000;
  expect(['a', 'b', 'c'].map((node) => waitOf(plan(state([], seeds), node)))).toEqual([0, step, 2 * step]);
  expect(plan(state([], seeds), 'c')).toMatchObject({ before: ['http://a/x', 'http://b/x'] });
  expect(waitOf(plan(state([], seeds), 'b', step))).toBe(0);
  const rest = Array.from({ length: 50 }, (_, index) => waitOf(plan(state([], seeds), `n-${index}`)));
  expect(Math.min(...rest)).toBeGreaterThanOrEqual(3 * step);
  expect(Math.max(...rest)).toBeLessThan(9 * step);
  expect(new Set(rest).size).toBe(50);
});

it.each([
  ['a data centre without seeds', { ...state([]), seeds: [at('west', 'w')] }, 0],
  ['one of the data centre has it', state([at('east', 'z')], seeds), 0],
])('waits for nobody: %s', (_, image, waitedMs) => expect(waitOf(plan(image, 'c', waitedMs))).toBe(0));

it('asks none again that failed, and has the next seed begin in its place', () => {
  const failed = ['http://a/x'];
  const found = state([at('east', 'a')], seeds);
  expect(waitOf(plan(found, 'b', 0, failed))).toBe(0);
  expect(waitOf(plan(found, 'c', 0, failed))).toBe(20_000);
  expect(waitOf(plan(found, 'x', 0, failed))).toBeGreaterThanOrEqual(40_000);
  expect(plan(found, 'b', 0, failed)).toMatchObject({ image: { peers: { near: [] } } });
});

it('waits for those that are busy no longer than a bound', () => {
  const found = plan(state([at('east', 'a')], seeds), 'c', 12 * 20_000);
  expect(found).toMatchObject({ image: { peers: { mayWait: false } } });
});

it('asks nobody at an address that is none', () => {
  const image = state([{ ...at('east', 'a'), url: 'http://[::1' }], [{ ...at('east', 'a'), url: 'file:///etc' }]);
  expect(plan(image, 'c')).toMatchObject({ image: { peers: { near: [] } } });
});

it.each(['revoked', 'retired'] as const)('has none for one that is %s', (gone) => {
  expect(plan({ ...state([]), state: gone }, 'a')).toBeUndefined();
});
