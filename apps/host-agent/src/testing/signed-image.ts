/** For the integration tests: a master as a distributor installs it on a storage node, with a real Debian tree. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateMountScript, requiredDirectories } from '@plinth/container-runtime';
import {
  type Digest,
  type ImageManifest,
  type ImageUser,
  type MountPlan,
  REQUIRED_MOUNT_POINTS,
  type SignedStatement,
  VERSION_FILES,
} from '@plinth/contracts';
import { createSigningKey, digestOf, SigningKey } from '@plinth/image-trust';
import { debianRootfs } from '@plinth/testkit';

const MiB = 1024 ** 2;
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 5 * MiB, inodes: 1000, content: 'overlay', mode: 0o755 },
    { path: '/var', bytes: 20 * MiB, inodes: 4000, content: 'overlay', mode: 0o755 },
    { path: '/run', bytes: 5 * MiB, inodes: 1000, content: 'empty', mode: 0o755 },
    { path: '/tmp', bytes: 20 * MiB, inodes: 1000, content: 'empty', mode: 0o1777 },
  ],
};

export interface ImageOptions {
  /** `/dev` is a symlink that leads out of the image. */
  readonly hostileDev?: boolean;
  readonly user?: ImageUser;
}

export function contentOf(version: string): Digest {
  return digestOf(`content of ${version}`);
}

/**
 * `debian-12@<version>`: hard links of the tree, signed with a key of its own, which is put among the trusted ones.
 * @returns its content digest
 */
export async function installImage(
  images: string,
  keys: string,
  version: string,
  options: ImageOptions,
): Promise<Digest> {
  const image = join(images, 'debian-12', version);
  const root = join(image, VERSION_FILES.root);
  mkdirSync(image, { recursive: true });
  execFileSync('cp', ['-al', await debianRootfs(), root]);
  for (const point of REQUIRED_MOUNT_POINTS) mkdirSync(join(root, point), { recursive: true });
  for (const { path, mode } of requiredDirectories(PLAN)) mkdirSync(join(root, path), { recursive: true, mode });
  if (options.hostileDev === true) {
    rmSync(join(root, 'dev'), { recursive: true });
    symlinkSync('/tmp', join(root, 'dev'));
  }
  const script = generateMountScript(PLAN);
  writeFileSync(join(image, VERSION_FILES.mountScript), script);
  const manifest: ImageManifest = {
    schema: options.user === undefined ? 1 : 2,
    name: 'debian-12',
    version,
    architecture: 'amd64',
    contentDigest: contentOf(version),
    recipeDigest: digestOf('recipe'),
    mountPlan: PLAN,
    mountScript: { digest: digestOf(script), bytes: script.length, custom: false },
    environment: { LANG: 'C.UTF-8' },
    timezone: 'Europe/Vienna',
    command: ['/bin/sleep', 'infinity'],
    stopSignal: 'SIGTERM',
    ...(options.user !== undefined && { user: options.user }),
    totals: { entries: 0, bytes: 0 },
    entries: [],
  };
  const bytes = JSON.stringify(manifest);
  writeFileSync(join(image, VERSION_FILES.manifest), bytes);
  writeFileSync(join(image, VERSION_FILES.statement), JSON.stringify(await signedStatement(manifest, bytes, keys)));
  return manifest.contentDigest;
}

async function signedStatement(manifest: ImageManifest, bytes: string, keys: string): Promise<SignedStatement> {
  const file = join(dirname(keys), `signing-${manifest.version}`, 'key.pem');
  await createSigningKey(file, keys);
  const key = await SigningKey.open(file);
  return key.sign({
    schema: 1,
    name: manifest.name,
    version: manifest.version,
    contentDigest: manifest.contentDigest,
    manifestDigest: digestOf(bytes),
    manifestBytes: bytes.length,
    archiveDigest: digestOf('archive'),
    archiveBytes: 7,
  });
}
