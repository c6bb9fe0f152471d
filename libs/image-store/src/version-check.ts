/** Checks versions of images on the disk: that the documents fit each other, and the tree the manifest. */
import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { type ImageManifest, type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import { hasCode } from '@plinth/host-os';
import { objectName } from './object-name.js';
import { checkTree, type FileReader, type TreeProblem } from './tree-check.js';

/**
 * @param directory of one version
 * @param objects where the names of damaged objects are taken away; undefined: nothing is changed
 * @returns all that is wrong with it; undefined when it is gone
 */
export function checkVersion(
  directory: string,
  objects: string | undefined,
  reader: FileReader,
): TreeProblem[] | undefined {
  if (!lstatSync(directory, { throwIfNoEntry: false })) return undefined;
  let manifest: ImageManifest;
  try {
    const body = readFileSync(join(directory, VERSION_FILES.manifest));
    const statement = JSON.parse(readFileSync(join(directory, VERSION_FILES.statement), 'utf8')) as SignedStatement;
    if (`sha256:${hash('sha256', body, 'hex')}` !== statement.manifestDigest)
      return [{ path: VERSION_FILES.manifest, problem: 'it is not the one that was signed' }];
    manifest = JSON.parse(body.toString('utf8')) as ImageManifest;
  } catch (error) {
    if (!(error instanceof SyntaxError) && !hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw error;
    return lstatSync(directory, { throwIfNoEntry: false })
      ? [{ path: VERSION_FILES.manifest, problem: 'manifest or statement is missing, or no JSON' }]
      : undefined;
  }
  const root = join(directory, VERSION_FILES.root);
  const problems = checkTree(root, manifest.entries, reader);
  // It was withdrawn meanwhile.
  if (!lstatSync(root, { throwIfNoEntry: false })) return undefined;
  const damaged = new Set(problems.map(({ path }) => path));
  for (const entry of objects === undefined ? [] : manifest.entries)
    if (objects !== undefined && entry.type === 'file' && damaged.has(entry.path))
      forgetObject(objects, objectName(entry), join(root, entry.path));
  return problems;
}

/** Takes the name of a damaged object away: no other tree gets a link to it. */
function forgetObject(objects: string, name: string, path: string): void {
  const inode = lstatSync(path, { throwIfNoEntry: false })?.ino;
  const shard = join(objects, name.slice(0, 2));
  let names: string[];
  try {
    names = readdirSync(shard);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  for (const copy of names) {
    if (copy !== name.slice(2) && !copy.startsWith(`${name.slice(2)}.`)) continue;
    const object = join(shard, copy);
    if (lstatSync(object, { throwIfNoEntry: false })?.ino === inode) rmSync(object, { force: true });
  }
}
