/**
 * The testing and the production repository: one directory per version, made visible by one rename of a directory that
 * was completely on disk before. Every operation may be interrupted anywhere and repeated.
 */
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { archiveFileName, type ImageManifest, NAME_PATTERN, VERSION_FILES, VERSION_PATTERN } from '@plinth/contracts';
import { hasCode, syncFileSystem, syncPath } from '@plinth/host-os';

export type Stage = 'testing' | 'production';

export interface VersionFile {
  readonly path: string;
  readonly name: string;
}

const DELTAS = 'deltas';

export class ImageRepository {
  constructor(private readonly root: string) {}

  async open(): Promise<void> {
    for (const stage of ['testing', 'production', DELTAS])
      await mkdir(join(this.root, stage), { recursive: true, mode: 0o755 });
  }

  /** Where the deltas to a version lie, one directory for each version that they begin at. */
  deltas(name: string, version: string): string {
    checkNames(name, version);
    return join(this.root, DELTAS, name, version);
  }

  directory(stage: Stage, name: string, version: string): string {
    checkNames(name, version);
    return join(this.root, stage, name, version);
  }

  /**
   * Moves a finished directory into the testing repository, in place of the files that an earlier attempt left there.
   */
  async publish(finished: string, name: string, version: string): Promise<void> {
    // With the directory alone synced, its files may be empty after a power cut.
    await syncFileSystem(finished);
    const target = this.directory('testing', name, version);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await rm(target, { recursive: true, force: true });
    await rename(finished, target);
    await syncPath(dirname(target));
  }

  /** Testing → production; it does nothing when the version is in production already. */
  async promote(name: string, version: string): Promise<void> {
    const [from, to] = [this.directory('testing', name, version), this.directory('production', name, version)];
    if (await exists(to)) return;
    await mkdir(dirname(to), { recursive: true, mode: 0o755 });
    await rename(from, to);
    await syncPath(dirname(to));
    await syncPath(dirname(from));
  }

  /** Takes a version out of a repository by one rename; it does nothing when the version is not there. */
  async withdraw(stage: Stage, name: string, version: string, into: string): Promise<void> {
    const directory = this.directory(stage, name, version);
    try {
      await rename(directory, into);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return;
      throw error;
    }
    await syncPath(dirname(directory));
  }

  /** Directory of the version's files; undefined when in neither repository. */
  async locate(name: string, version: string): Promise<string | undefined> {
    for (const stage of ['production', 'testing'] as const) {
      const directory = this.directory(stage, name, version);
      if (await exists(directory)) return directory;
    }
    return undefined;
  }

  async manifest(name: string, version: string): Promise<ImageManifest | undefined> {
    const directory = await this.locate(name, version);
    return directory === undefined
      ? undefined
      : (JSON.parse(await readFile(join(directory, VERSION_FILES.manifest), 'utf8')) as ImageManifest);
  }

  /** One of the three files of a version in production; undefined for anything else. */
  productionFile(name: string, version: string, file: string): VersionFile | undefined {
    if (!NAME_PATTERN.test(name) || !VERSION_PATTERN.test(version)) return undefined;
    const known = [VERSION_FILES.statement, VERSION_FILES.manifest, archiveFileName(name, version)];
    return known.includes(file)
      ? { path: join(this.directory('production', name, version), file), name: file }
      : undefined;
  }

  /** Every version in a repository. */
  versions(stage: Stage): Promise<{ readonly name: string; readonly version: string }[]> {
    return this.versionsIn(stage);
  }

  /** Every version that deltas lead to. */
  withDeltas(): Promise<{ readonly name: string; readonly version: string }[]> {
    return this.versionsIn(DELTAS);
  }

  private async versionsIn(stage: string): Promise<{ readonly name: string; readonly version: string }[]> {
    const found: { name: string; version: string }[] = [];
    for (const name of await readdir(join(this.root, stage))) {
      if (!NAME_PATTERN.test(name)) continue;
      for (const version of await readdir(join(this.root, stage, name)))
        if (VERSION_PATTERN.test(version)) found.push({ name, version });
    }
    return found;
  }
}

function checkNames(name: string, version: string): void {
  if (!NAME_PATTERN.test(name) || !VERSION_PATTERN.test(version))
    throw new Error('not a name and a version of an image');
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
