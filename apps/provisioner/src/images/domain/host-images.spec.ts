import { cacheRefusal, hostImages, type HostWishes } from './host-images.js';

const wishes = (change: Partial<HostWishes>): HostWishes => ({
  ...{ host: 'h-1', pin: [], evict: [], default: [], rollout: [], prefetch: [] },
  ...change,
});

it('names each version once, with the strongest reason', () => {
  expect(
    hostImages(
      wishes({
        pin: ['os@v3', 'os@v1'],
        evict: ['old@v1'],
        default: ['os@v1', 'os@v2'],
        rollout: ['os@v4', 'os@v2'],
        prefetch: ['os@v4', 'old@v1', 'os@v5'],
      }),
    ),
  ).toEqual({
    host: 'h-1',
    pinned: ['os@v1', 'os@v3'],
    ahead: [
      { image: 'os@v2', reason: 'default' },
      { image: 'os@v4', reason: 'rollout' },
      { image: 'os@v5', reason: 'prefetch' },
    ],
    evict: ['old@v1'],
  });
});

it('names no more than a host takes', () => {
  const many = Array.from({ length: 1_100 }, (_, index) => `os@v${index + 1}`);
  expect(hostImages(wishes({ prefetch: many })).ahead).toHaveLength(1_000);
});

it.each([
  ['prefetch', undefined, 'image-not-found'],
  ['pin', 'tested', 'not-promoted'],
  ['pin', 'revoked', 'revoked'],
  ['prefetch', 'promoted', undefined],
  ['unpin', 'retired', undefined],
  ['evict', 'revoked', undefined],
  ['evict', undefined, 'image-not-found'],
] as const)('%s of a version that is %s: %s', (operation, state, reason) =>
  expect(cacheRefusal(operation, state, 'os@v1')?.reason).toBe(reason),
);
