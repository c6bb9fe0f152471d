import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from './remove-tree.js';

/** Two trees side by side, their names 8,000 bytes long, with a file at the end. */
const DEEP = `
  const { mkdirSync, writeFileSync } = require('node:fs');
  const [top] = process.argv.slice(1);
  for (const side of ['a', 'b']) {
    process.chdir(top);
    for (let depth = 0; depth < 40; depth++) { mkdirSync(side.repeat(199)); process.chdir(side.repeat(199)); }
    writeFileSync('file', '');
  }`;

it('removes what is too deep to be named, and follows no link', async () => {
  const top = mkdtempSync(join(tmpdir(), 'plinth-test-'));
  try {
    const tree = mkdtempSync(join(top, 'tree-'));
    expect(spawnSync(process.execPath, ['-e', DEEP, tree], { encoding: 'utf8' })).toMatchObject({ status: 0 });
    writeFileSync(join(top, 'kept'), '');
    symlinkSync(top, join(tree, 'link'));
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
    expect(existsSync(join(top, 'kept'))).toBe(true);
    await removeTree(tree);
  } finally {
    spawnSync('rm', ['-rf', top]);
  }
});
