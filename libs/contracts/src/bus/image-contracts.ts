/** Requests and facts about images. */
import { define } from './contract.js';
import { fact, official, ordered } from './contract-shapes.js';
import * as cache from './events/image-cache-events.js';
import * as image from './events/image-events.js';
import { SUBJECTS as S } from './subjects.js';

export const IMAGE_CONTRACTS = [
  ordered(S.imageRequested, image.ImageRequested, 'Build an image from a recipe', 'image-builder'),
  fact(
    S.imageBuilding,
    image.ImageBuilding,
    'A version was assigned, its build has begun',
    'image-builder',
    'provisioner',
  ),
  fact(
    S.imageBuilt,
    image.ImageBuilt,
    'The signed archive lies in the testing repository',
    'image-builder',
    'provisioner',
  ),
  fact(S.imageTested, image.ImageTested, 'The image was booted and passed its tests', 'image-builder', 'provisioner'),
  define(
    S.imageRejected,
    'fact',
    image.ImageRejected,
    'A request about an image was refused or failed',
    ['image-builder', 'provisioner'],
    ['provisioner'],
  ),
  ordered(
    S.imagePromotionRequested,
    image.ImagePromotionRequested,
    'Put a tested image into production',
    'image-builder',
  ),
  fact(
    S.imagePromoted,
    image.ImagePromoted,
    'The archive lies in the production repository',
    'image-builder',
    'provisioner',
  ),
  ordered(S.imageActivationRequested, image.ImageActivationRequested, 'Make a version the default', 'provisioner'),
  official(S.imageActivated, image.ImageActivated, 'A version is the default now'),
  ordered(
    S.imageRevocationRequested,
    image.ImageRevocationRequested,
    'Let nothing new start on a version',
    'image-builder',
  ),
  fact(S.imageRevoked, image.ImageRevoked, 'Nothing new starts on this version', 'image-builder', 'provisioner'),
  ordered(
    S.imageRetirementRequested,
    image.ImageRetirementRequested,
    'Remove a version from everywhere',
    'provisioner',
  ),
  fact(S.imageRetired, image.ImageRetired, 'Nothing needs this version any more', 'provisioner', 'image-builder'),
  official(S.imageDistributed, image.ImageDistributed, 'A storage node holds a checked master'),
  official(S.imageDistributionFailed, image.ImageDistributionFailed, 'A storage node could not get an image'),

  ordered(S.imagePrefetchRequested, cache.ImagePrefetchRequested, 'Have hosts fetch a version ahead', 'provisioner'),
  ordered(S.imagePinRequested, cache.ImagePinRequested, 'Have hosts keep a version, or no longer', 'provisioner'),
  ordered(S.imageEvictRequested, cache.ImageEvictRequested, 'Have hosts remove a version', 'provisioner'),
  official(S.imageCacheChanged, cache.ImageCacheChanged, "What hosts' stores are to hold was changed"),
  official(S.imageCached, cache.ImageCached, 'A version stands in the store of a host'),
  official(S.imageCacheFailed, cache.ImageCacheFailed, 'A host could not get a version'),
  official(S.imageEvicted, cache.ImageEvicted, 'A host has removed a version from its store'),
] as const;
