/** Repositories and small signed images for tests: `@plinth/image-transfer/testing`. */
export { extractTo, type Extraction } from './extraction.js';
export { type Answer, correctAnswer, HostileRepository } from './hostile-repository.js';
export {
  compress,
  entriesOf,
  makeImage,
  makeKey,
  makeManifest,
  type Member,
  membersOf,
  packTar,
  promotionOf,
  SCRIPT,
  sha256,
  signImage,
  type SigningKey,
  type TestImage,
  type Tree,
  trust,
} from './image-fixture.js';
