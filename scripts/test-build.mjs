// Builds before the first test file: integration and end-to-end tests run the compiled services. Built once, not by
// each file: two compilers at once disturb each other.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { buildTestPackages } from './test-packages.mjs';

const top = resolve(import.meta.dirname, '..');

export default async function build() {
  await buildTestPackages();
  // For the check of another run that is on the machine at the same time: what bears no mark may be of these tests.
  process.env.PLINTH_TEST_RUN ??= randomBytes(8).toString('hex');
  // `npm test` has built, and begins several runs of jest.
  if (process.env.PLINTH_TEST_BUILT !== undefined) return;
  execFileSync(process.execPath, [resolve(top, 'scripts/build.mjs')], { stdio: 'inherit' });
}
