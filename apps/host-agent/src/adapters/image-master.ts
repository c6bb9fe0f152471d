/**
 * The images of storage nodes that this host has mounted, or of its own store: read and verified when first used, then
 * remembered until a file changes.
 */
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  checkRunSettings,
  type Digest,
  environmentProblem,
  type ImageManifest,
  type ImageUser,
  isTimezone,
  type MountPlan,
  parseExactImageRef,
  VERSION_FILES,
} from '@plinth/contracts';
import { isMissing } from '@plinth/host-os';
import { digestOf, isDigest, MAX_STATEMENT_BYTES, type TrustedKeys } from '@plinth/image-trust';
import type { StartFailure } from '../domain/start-failure.js';
import type { StorageMounts } from '../domain/storage-mounts.js';

/** The parts of an image that a start needs; the entries of the manifest are not kept. */
export interface ImageMaster {
  readonly root: string;
  readonly contentDigest: string;
  readonly mountPlan: MountPlan;
  readonly mountScript: { readonly path: string; readonly custom: boolean; readonly digest: Digest };
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone: string;
  readonly entrypoint?: readonly string[];
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly user?: ImageUser;
  readonly stopSignal: string;
  readonly privileges?: 'setuid';
  /** Id of the key that signed it. */
  readonly signedBy: string;
}

export type Opened<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: StartFailure };

const MAX_MANIFEST_BYTES = 512 * 1024 ** 2;

/** A directory of `images/`, and what people know it as. */
export interface ImagePlace {
  readonly directory: string;
  readonly name: string;
}

/** Where the images of a container are whose volumes are on a storage node; undefined: that is not mounted. */
export type FindImages = (storageNode: string) => ImagePlace | undefined;

export function attachedImages(storage: StorageMounts): FindImages {
  return (node) => {
    const directory = storage.get(node);
    return directory === undefined ? undefined : { directory, name: `storage node ${node}` };
  };
}

/** @param directory of this host's own store */
export function ownStore(directory: string): FindImages {
  return () => ({ directory, name: 'the store of this host' });
}

export class ImageMasters {
  private readonly known = new Map<string, { readonly key: string; readonly opened: Promise<Opened<ImageMaster>> }>();

  constructor(
    private readonly find: FindImages,
    private readonly keys: TrustedKeys,
  ) {}

  /**
   * A verified image is cached; whether its key is still trusted is checked at every call.
   * @param image `name@version`
   */
  async open(storageNode: string, image: string): Promise<Opened<ImageMaster>> {
    const place = this.find(storageNode);
    const ref = parseExactImageRef(image);
    if (place === undefined || !ref)
      return refuse('image-missing', `storage node ${storageNode} is not mounted on this host`);
    const directory = join(place.directory, 'images', ref.name, ref.version);
    const key = await this.fingerprint(directory);
    if (key === undefined) {
      this.known.delete(directory);
      return this.missing(directory, image, place.name);
    }
    const damaged = await lstat(join(directory, VERSION_FILES.damage)).then(
      () => true,
      (error: unknown) => {
        if (isMissing(error)) return false;
        throw error;
      },
    );
    if (damaged) return refuse('image-mismatch', `${image} is damaged in ${place.name}; it is being repaired there`);
    const known = this.known.get(directory);
    if (known?.key === key) return this.ifStillTrusted(await known.opened, image);
    const opened = this.read(directory, ref.name, ref.version);
    this.known.set(directory, { key, opened });
    const forget = (): void => {
      if (this.known.get(directory)?.opened === opened) this.known.delete(directory);
    };
    // Only a success is cached: the cause of a failure may be corrected without a change of these files.
    opened.then((result) => (result.ok ? undefined : forget()), forget);
    return opened;
  }

  private async ifStillTrusted(opened: Opened<ImageMaster>, image: string): Promise<Opened<ImageMaster>> {
    if (!opened.ok) return opened;
    const found = await this.keys.find(opened.value.signedBy);
    return found.ok ? opened : refuse('image-untrusted', `${image}: ${found.message}`);
  }

  /** Inode, size and change times of the files that were verified; undefined when one is missing. */
  private async fingerprint(directory: string): Promise<string | undefined> {
    const names = [VERSION_FILES.manifest, VERSION_FILES.mountScript, VERSION_FILES.root, VERSION_FILES.statement];
    try {
      const stats = await Promise.all(names.map((name) => lstat(join(directory, name))));
      return stats
        .map(({ dev, ino, size, mtimeMs, ctimeMs }) => `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`)
        .join(' ');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  private async missing(directory: string, image: string, place: string): Promise<Opened<never>> {
    const there = async (name: string): Promise<boolean> =>
      lstat(join(directory, name)).then(
        () => true,
        (error: unknown) => !isMissing(error),
      );
    if (!(await there(VERSION_FILES.root)) || !(await there(VERSION_FILES.manifest)))
      return refuse('image-missing', `${image} is not in ${place}`);
    if (!(await there(VERSION_FILES.mountScript)))
      return refuse('mount-script-missing', `${image} in ${place} has no ${VERSION_FILES.mountScript}`);
    return refuse('image-mismatch', `${image} in ${place} has no signed statement`);
  }

  private async read(directory: string, name: string, version: string): Promise<Opened<ImageMaster>> {
    if (!(await lstat(join(directory, VERSION_FILES.root))).isDirectory())
      return refuse('image-mismatch', `${name}@${version}: its root is no directory`);
    const { size } = await lstat(join(directory, VERSION_FILES.manifest));
    if (size > MAX_MANIFEST_BYTES)
      return refuse('image-mismatch', `${name}@${version}: its manifest has ${size} bytes`);
    const bytes = await readFile(join(directory, VERSION_FILES.manifest));
    const manifest = parseManifest(bytes);
    if (typeof manifest === 'string') return refuse('image-mismatch', `${name}@${version}: ${manifest}`);
    if (manifest.name !== name || manifest.version !== version)
      return refuse(
        'image-mismatch',
        `the manifest of ${name}@${version} is about ${manifest.name}@${manifest.version}`,
      );
    const statement = await readAtMost(join(directory, VERSION_FILES.statement), MAX_STATEMENT_BYTES);
    if (!statement) return refuse('image-untrusted', `${name}@${version}: its signed statement is too large`);
    const { contentDigest } = manifest;
    const signed = await this.keys.verify(statement, { name, version, manifestDigest: digestOf(bytes), contentDigest });
    if (!signed.ok)
      return refuse(
        signed.reason === 'other-image' ? 'image-mismatch' : 'image-untrusted',
        `${name}@${version}: ${signed.message}`,
      );
    const { mountScript } = manifest;
    const script = await readFile(join(directory, VERSION_FILES.mountScript));
    if (digestOf(script) !== mountScript.digest)
      return refuse('mount-script-mismatch', `${name}@${version}: the mount script is not the one in the manifest`);
    return {
      ok: true,
      value: {
        root: join(directory, VERSION_FILES.root),
        contentDigest: manifest.contentDigest,
        mountPlan: manifest.mountPlan,
        mountScript: {
          path: join(directory, VERSION_FILES.mountScript),
          custom: mountScript.custom,
          digest: mountScript.digest,
        },
        environment: manifest.environment,
        timezone: manifest.timezone,
        entrypoint: manifest.entrypoint,
        command: manifest.command,
        workingDirectory: manifest.workingDirectory,
        user: manifest.user,
        stopSignal: manifest.stopSignal,
        privileges: manifest.privileges,
        signedBy: signed.statement.keyId,
      },
    };
  }
}

/** @returns undefined when the file is larger */
async function readAtMost(path: string, maxBytes: number): Promise<Buffer | undefined> {
  return (await lstat(path)).size > maxBytes ? undefined : readFile(path);
}

/** @returns the manifest, or the problem. The premount checks validate the mount plan. */
function parseManifest(bytes: Uint8Array): ImageManifest | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return 'the manifest is not JSON';
    throw error;
  }
  const found = (parsed ?? {}) as Partial<ImageManifest>;
  if (found.schema !== 1 && found.schema !== 2) return 'the manifest has an unknown schema';
  if (!isDigest(found.contentDigest)) return 'the manifest has no content digest';
  if (!isDigest(found.mountScript?.digest) || typeof found.mountScript.custom !== 'boolean')
    return 'the manifest does not name its mount script';
  if (!Array.isArray(found.mountPlan?.places)) return 'the manifest has no mount plan';
  const environment = environmentProblem(found.environment);
  if (environment !== undefined) return `the environment in the manifest ${environment}`;
  if (typeof found.timezone !== 'string' || !isTimezone(found.timezone))
    return 'the manifest names an unknown time zone';
  const problems: string[] = [];
  checkRunSettings(found as Record<string, unknown>, (problem) => problems.push(problem));
  if (problems.length > 0) return `the manifest can't be run: ${problems.slice(0, 5).join('; ')}`;
  return found as ImageManifest;
}

function refuse(
  reason: StartFailure['reason'],
  message: string,
): { readonly ok: false; readonly failure: StartFailure } {
  return { ok: false, failure: { reason, message } };
}
