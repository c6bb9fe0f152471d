/** For the integration tests: a master as a distributor leaves it on a storage node, on a real Debian tree. */
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateMountScript, requiredDirectories } from '@plinth/container-runtime';
import {
  canonicalJson,
  type Digest,
  type ImageManifest,
  type MountPlan,
  REQUIRED_MOUNT_POINTS,
  VERSION_FILES,
} from '@plinth/contracts';
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
}

export function contentOf(version: string): Digest {
  return sha256(`content of ${version}`);
}

/** `debian-12@<version>`: hard links of the tree, signed with a key of its own, which is put among the trusted ones. @returns its content digest */
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
    schema: 1,
    name: 'debian-12',
    version,
    architecture: 'amd64',
    contentDigest: contentOf(version),
    recipeDigest: sha256('recipe'),
    mountPlan: PLAN,
    mountScript: { digest: sha256(script), bytes: script.length, custom: false },
    environment: { LANG: 'C.UTF-8' },
    timezone: 'Europe/Vienna',
    command: ['/bin/sleep', 'infinity'],
    stopSignal: 'SIGTERM',
    totals: { entries: 0, bytes: 0 },
    entries: [],
  };
  const bytes = JSON.stringify(manifest);
  writeFileSync(join(image, VERSION_FILES.manifest), bytes);
  writeFileSync(join(image, VERSION_FILES.statement), JSON.stringify(signedStatement(manifest, bytes, keys)));
  return manifest.contentDigest;
}

function signedStatement(manifest: ImageManifest, bytes: string, keys: string): object {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const keyId = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
  writeFileSync(join(keys, `${keyId}.pem`), publicKey.export({ type: 'spki', format: 'pem' }));
  const statement = {
    schema: 1,
    name: manifest.name,
    version: manifest.version,
    contentDigest: manifest.contentDigest,
    manifestDigest: sha256(bytes),
    manifestBytes: bytes.length,
    archiveDigest: sha256(''),
    archiveBytes: 0,
    keyId,
  };
  return { ...statement, signature: sign(null, Buffer.from(canonicalJson(statement)), privateKey).toString('base64') };
}

function sha256(data: string): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
