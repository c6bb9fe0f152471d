/** Uses this machine's cgroups, with the second hierarchy hidden as the services hide it. Needs root. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';

it('removes a build from every hierarchy, the hidden one included', () => {
  const left = execFileSync(
    process.execPath,
    [join(import.meta.dirname, '../../../build/testing/hidden-hierarchy.js')],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(left)).toEqual([]);
});
