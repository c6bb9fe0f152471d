/** Every text that the harness changes occurs exactly once in the built files; build first. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { INSTALLATION } from '../stack.js';
import { PLANTED } from './planted.js';
import { PUBLIC_URL } from './rig.js';

describe('the harness changes one line', () => {
  it.each(Object.entries({ ...PLANTED, 'address of downloads': PUBLIC_URL }))('%s', (_name, { file, find }) => {
    expect(readFileSync(join(INSTALLATION, file), 'utf8').split(find)).toHaveLength(2);
  });
});
