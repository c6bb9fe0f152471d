import type { ProductionImage } from '@plinth/contracts';
import { type Known, productionStep, type ProductionStep, promotionOf } from './production-step.js';
import { describeNode } from './targeting.js';

const node = describeNode('sn-1', 'west', '');
const digest = `sha256:${'a'.repeat(64)}`;
const image = (change: Partial<ProductionImage> = {}): ProductionImage => ({
  ...{ name: 'os', version: 'v1', state: 'promoted', promotionId: 'p-2', seeds: [] },
  ...{ contentDigest: digest, manifestDigest: digest, archiveDigest: digest, archiveBytes: 1, unpackedBytes: 2 },
  sources: [{ url: 'http://builder/x' }, { url: 'http://sn-2/x', node: 'sn-2', dataCenter: 'west' }],
  ...change,
});
const nothing: Known = { isWanted: false, standing: 'absent', isRevoked: false, isRetired: false };

describe('a node that knows', () => {
  it.each<[string, Partial<Known>, Partial<ProductionImage>, ProductionStep]>([
    ['nothing of a version', {}, {}, 'install'],
    ['that it is for others', {}, { to: ['sn-2', 'datacenter=east'] }, 'nothing'],
    ['that it is for its data centre', {}, { to: ['datacenter=west'] }, 'install'],
    ['that it has it for this promotion', { standing: 'same', settled: 'p-2' }, {}, 'nothing'],
    ['that it has it for one before', { standing: 'same', settled: 'p-1' }, {}, 'install'],
    ['that it has given this promotion up', { standing: 'other', settled: 'p-2' }, {}, 'nothing'],
    ['that another content stands there', { standing: 'other', settled: 'p-1' }, {}, 'install'],
    ['that it was revoked', { isRevoked: true }, {}, 'nothing'],
    ['that it was retired', { isRetired: true }, {}, 'nothing'],
    ['that it has one that is revoked', { standing: 'same' }, { state: 'revoked' }, 'revoke'],
    ['that it fetches one that is revoked', { isWanted: true }, { state: 'revoked' }, 'revoke'],
    ['of the revocation already', { standing: 'same', isRevoked: true }, { state: 'revoked' }, 'nothing'],
    ['nothing of one that is revoked', {}, { state: 'revoked' }, 'nothing'],
    ['that it has one that is retired', { standing: 'same' }, { state: 'retired' }, 'retire'],
    ['that a damaged one is retired', { standing: 'other', isRetired: true }, { state: 'retired' }, 'retire'],
    ['that it fetches one that is retired', { isWanted: true }, { state: 'retired' }, 'retire'],
    ['nothing of one that is retired', {}, { state: 'retired' }, 'nothing'],
  ])('%s', (_, known, state, step) => expect(productionStep(image(state), node, { ...nothing, ...known })).toBe(step));
});

it('installs from image-builders what no node gives, and nothing without its digests', () => {
  expect(promotionOf(image())?.sources).toEqual(['http://builder/x']);
  expect(promotionOf(image({ manifestDigest: undefined as never }))).toBeUndefined();
});
