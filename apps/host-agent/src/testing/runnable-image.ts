/** A signed image of this machine's own programs, small enough to be made for each test, that containers run on. */
import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { requiredDirectories } from '@plinth/container-runtime';
import { type MountPlan, type ProductionImage } from '@plinth/contracts';
import {
  compress,
  entriesOf,
  makeManifest,
  membersOf,
  packTar,
  signImage,
  type SigningKey,
  type TestImage,
  type Tree,
} from '@plinth/image-transfer/testing';

const PROGRAMS = ['/bin/sh', '/bin/cat', '/bin/sleep', '/bin/true'];
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 1024 ** 2, inodes: 100, content: 'overlay', mode: 0o755 },
    { path: '/run', bytes: 1024 ** 2, inodes: 100, content: 'empty', mode: 0o755 },
    { path: '/tmp', bytes: 1024 ** 2, inodes: 100, content: 'empty', mode: 0o1777 },
  ],
};

/** @param files beside the programs, by path */
export async function makeRunnableImage(
  key: SigningKey,
  version: string,
  files: Readonly<Record<string, string | Buffer>> = {},
): Promise<TestImage> {
  const tree: Record<string, Tree[string]> = {
    ...{ bin: { to: 'usr/bin' }, lib: { to: 'usr/lib' }, lib64: { to: 'usr/lib' } },
    'etc/version': `${version}\n`,
    'usr/share/zoneinfo/Etc/UTC': readFileSync('/usr/share/zoneinfo/Etc/UTC'),
    ...files,
  };
  for (const { path } of requiredDirectories(PLAN)) tree[path] ??= null;
  for (const program of PROGRAMS) {
    tree[`usr/bin/${basename(program)}`] = readFileSync(realpathSync(program));
    for (const [, library] of execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g))
      if (library) tree[`usr/lib/${basename(library)}`] = readFileSync(realpathSync(library));
  }
  const { entries, contents } = entriesOf(tree);
  const runnable = entries.map((entry) => (entry.type === 'file' ? { ...entry, mode: 0o755 } : entry));
  const manifest = makeManifest(runnable, { version, mountPlan: PLAN, command: ['/bin/sleep', 'infinity'] });
  return signImage(manifest, compress(await packTar(membersOf(runnable, contents))), key);
}

export function productionOf(
  { statement, manifest }: TestImage,
  urls: readonly string[],
  changes: Partial<ProductionImage> = {},
): ProductionImage {
  const { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes } = statement;
  return {
    ...{ name, version, state: 'promoted', contentDigest, manifestDigest, archiveDigest, archiveBytes },
    unpackedBytes: manifest.totals.bytes,
    sources: urls.map((url) => ({ url })),
    seeds: [],
    ...changes,
  };
}
