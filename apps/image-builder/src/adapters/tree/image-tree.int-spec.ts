import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ImageTree } from './image-tree.js';

let scratch: string;
let tree: ImageTree;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-tree-'));
  tree = new ImageTree(join(scratch, 'root'));
  mkdirSync(join(scratch, 'outside'));
  writeFileSync(join(scratch, 'outside/canary'), 'untouched');
  mkdirSync(join(tree.root, 'etc'), { recursive: true });
  mkdirSync(join(tree.root, 'usr/bin'), { recursive: true });
  symlinkSync('usr/bin', join(tree.root, 'bin'));
  symlinkSync(join(scratch, 'outside'), join(tree.root, 'absolute'));
  symlinkSync('../outside', join(tree.root, 'relative'));
  symlinkSync('../../../../../../../etc', join(tree.root, 'usr/up'));
  symlinkSync(`${scratch}/outside/canary`, join(tree.root, 'etc/file'));
  symlinkSync('loop', join(tree.root, 'loop'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('ImageTree', () => {
  it.each<[string, string]>([
    ['/etc/x', 'etc/x'],
    ['/bin/sh', 'usr/bin/sh'],
    ['/relative/canary', 'outside/canary'],
    ['/usr/up/passwd', 'etc/passwd'],
    ['/../../x', 'x'],
    ['/usr/../../../etc', 'etc'],
  ])('resolves %s inside', async (path, expected) => {
    expect(await tree.resolve(path)).toBe(join(tree.root, expected));
  });

  it('refuses a loop', async () => {
    await expect(tree.resolve('/loop/x')).rejects.toMatchObject({ reason: 'unsafe-tree' });
  });

  it.each(['/absolute/canary', '/relative/canary', '/etc/file'])(
    'writes %s into the tree, through any links',
    async (path) => {
      await tree.write(path, 'changed', 0o4755, { uid: 3, gid: 4 });
      expect(await tree.read(path)).toBe('changed');
      expect(lstatSync(await tree.resolve(path))).toMatchObject({ uid: 3, gid: 4, mode: 0o104755 });
      expect(readFileSync(join(scratch, 'outside/canary'), 'utf8')).toBe('untouched');
      expect(readdirSync(join(scratch, 'outside'))).toEqual(['canary']);
    },
  );

  it('removes and replaces links themselves, not what they lead to', async () => {
    await tree.link('/nowhere', '/etc/file');
    await tree.remove('/absolute');
    expect(readdirSync(tree.root)).not.toContain('absolute');
    expect(readFileSync(join(scratch, 'outside/canary'), 'utf8')).toBe('untouched');
  });

  it('refuses to write a file in place of a directory, or below a file', async () => {
    await expect(tree.write('/usr/bin', 'x', 0o644)).rejects.toMatchObject({ reason: 'invalid-recipe' });
    await tree.write('/etc/plain', 'x', 0o644);
    await expect(tree.write('/etc/plain/x', 'x', 0o644)).rejects.toMatchObject({ reason: 'invalid-recipe' });
  });

  it('looks owners up in the image', async () => {
    await tree.write('/etc/passwd', 'root:x:0:0::/:\nweb:x:33:33::/:\n', 0o644);
    await tree.write('/etc/group', 'root:x:0:\nwww:x:44:\n', 0o644);
    expect(await tree.owner('web', 'www')).toEqual({ uid: 33, gid: 44 });
    expect(await tree.owner('5', '6')).toEqual({ uid: 5, gid: 6 });
    await expect(tree.owner('nobody-here', 'www')).rejects.toMatchObject({ reason: 'invalid-recipe' });
  });
});
