import { describe, expect, it } from '@jest/globals';
import { type ImageCatalogue, resolveImage } from './image-resolution.js';

const digest = `sha256:${'a'.repeat(64)}`;
const image = (name: string, version: string, state = 'promoted', storageNodes = ['sn-1']) => ({
  name,
  version,
  state,
  contentDigest: digest,
  storageNodes,
});
const catalogue: ImageCatalogue = {
  images: [
    image('debian-12', 'v1'),
    image('debian-12', 'v2'),
    image('debian-12', 'v3', 'tested'),
    image('debian-12', 'v4', 'revoked'),
    image('debian-12', 'v5', 'promoted', ['sn-9']),
    image('debian-12', 'v6', 'promoted', []),
    image('debian-12', 'v7', 'retired'),
    image('debian-13', 'v1'),
    image('alpine', 'v1'),
  ],
  defaults: { 'debian-12': 'v2', 'debian-13': 'v1' },
  defaultOs: 'debian-12',
};
const reachable = { nodes: new Set(['sn-1']), isAnywhere: false };

describe('resolving an image', () => {
  it.each([
    [undefined, 'debian-12@v2', undefined],
    ['debian-12@v1', 'debian-12@v1', undefined],
    ['debian-13', 'debian-13@v1', undefined],
    ['debian-12@v9', 'debian-12@v2', 'unknown-version'],
    ['debian-11@v1', 'debian-12@v2', 'unknown-image'],
    ['alpine', 'debian-12@v2', 'no-default-version'],
    ['debian-12@v3', 'debian-12@v2', 'not-promoted'],
    ['debian-12@v4', 'debian-12@v2', 'revoked'],
    ['debian-12@v5', 'debian-12@v2', 'not-distributed'],
    ['debian-12@v6', 'debian-12@v2', 'not-distributed'],
    ['debian-12@v7', 'debian-12@v2', 'retired'],
    ['constructor', 'debian-12@v2', 'unknown-image'],
  ])('%s gives %s, fallback %s', (asked, used, fallbackReason) => {
    const resolution = resolveImage(asked, false, catalogue, reachable);
    expect(resolution.ok && `${resolution.image.name}@${resolution.image.version}`).toBe(used);
    expect(resolution.ok && resolution.fallbackReason).toBe(fallbackReason);
    const strict = resolveImage(asked, true, catalogue, reachable);
    expect(strict.ok).toBe(fallbackReason === undefined);
    if (!strict.ok) expect(strict.reason).toBe('image-unavailable');
  });

  it.each([
    ['on no storage node', 'debian-12@v6', 'debian-12@v6'],
    ['on another storage node', 'debian-12@v5', 'debian-12@v5'],
    ['revoked', 'debian-12@v4', 'debian-12@v2'],
  ])('for hosts with stores of their own, one that is %s: %s gives %s', (_what, asked, used) => {
    const resolution = resolveImage(asked, false, catalogue, { nodes: new Set(), isAnywhere: true });
    expect(resolution.ok && `${resolution.image.name}@${resolution.image.version}`).toBe(used);
  });

  it.each([
    ['no default OS', { ...catalogue, defaultOs: null }],
    ['a default that is revoked', { ...catalogue, defaults: { 'debian-12': 'v4' } }],
  ])('refuses with %s', (_what, broken) => {
    expect(resolveImage('debian-11', false, broken, reachable)).toMatchObject({
      ok: false,
      reason: 'no-default-image',
    });
  });

  it.each([
    // The storage nodes of each version; the default is v4.
    ['the newest earlier version', { v1: ['east'], v3: ['east'], v4: ['west'], v5: ['east'] }, 'v3'],
    ['the first later one where there is no earlier', { v4: ['west'], v9: ['east'], v10: ['east'] }, 'v9'],
    ['nothing where no version is', { v3: ['west'], v4: ['west'] }, undefined],
  ])('takes %s where the default is not distributed', (_what, places: Record<string, string[]>, used) => {
    const images = Object.entries(places).map(([version, nodes]) => image('os', version, 'promoted', nodes));
    const partly: ImageCatalogue = {
      images: [...images, image('os', 'v2', 'revoked', ['east'])],
      defaults: { os: 'v4' },
      defaultOs: 'os',
    };
    for (const asked of [undefined, 'os', 'other@v1']) {
      const resolution = resolveImage(asked, false, partly, { nodes: new Set(['east']), isAnywhere: false });
      expect(resolution.ok ? resolution.image.version : resolution.reason).toBe(used ?? 'no-default-image');
      if (resolution.ok) {
        expect(resolution.fallbackReason).toBe(asked === 'other@v1' ? 'unknown-image' : 'not-distributed');
      }
      if (used !== undefined)
        expect(resolveImage(asked, true, partly, { nodes: new Set(['east']), isAnywhere: false })).toMatchObject({
          ok: false,
        });
    }
    expect(resolveImage('os@v4', true, partly, { nodes: new Set(['east']), isAnywhere: false })).toMatchObject({
      reason: 'image-unavailable',
    });
  });
});
