/** Builds from a Debian mirror; the builder's own choice of it, so it fails where none can be reached. */
import { describe, expect, it } from '@jest/globals';
import { BuilderSuite } from './testing/builder-suite.js';

const suite = BuilderSuite.install();

describe('a build from a Debian mirror', () => {
  it('becomes a tested image, with packages, the same twice', async () => {
    await suite.shared();
    const text = (name: string): string =>
      `name: ${name}\nfrom: { mmdebstrap: { suite: bookworm } }\npackages: { add: [less], remove: [e2fsprogs] }\ntests: [{ name: less, run: less --version }, { name: gone, run: test -e /sbin/mke2fs, expectExit: 1 }]\n`;
    const requests = await Promise.all([suite.build(text(suite.newName())), suite.build(text(suite.newName()))]);
    const [one, two] = await Promise.all(requests.map((id) => suite.tested(id)));
    expect(one?.data['contentDigest']).toBe(two?.data['contentDigest']);
    suite.expectNothingLeft();
  });

  it('names the package that does not exist', async () => {
    await suite.shared();
    const requestId = await suite.build(
      `name: ${suite.newName()}\nfrom: { mmdebstrap: { suite: bookworm } }\npackages: { add: [no-such-package-at-all] }\n`,
    );
    expect(await suite.rejected(requestId)).toMatchObject({
      reason: 'package-not-found',
      message: expect.stringContaining('no-such-package-at-all'),
    });
  });

  it('reports a suite that does not exist', async () => {
    await suite.shared();
    expect(
      await suite.rejected(
        await suite.build(`name: ${suite.newName()}\nfrom: { mmdebstrap: { suite: nosuchsuite } }\n`),
      ),
    ).toMatchObject({ reason: 'source-unavailable' });
  });

  it('names the variable to set when it has no archive of snapshots', async () => {
    await suite.shared();
    const requestId = await suite.build(
      `name: ${suite.newName()}\nfrom: { mmdebstrap: { suite: bookworm, snapshot: 20250901T000000Z } }\n`,
    );
    expect(await suite.rejected(requestId)).toMatchObject({
      reason: 'source-unavailable',
      message: expect.stringContaining('PLINTH_DEBIAN_SNAPSHOTS'),
    });
  });
});
