/** The paths in a storage directory. Names and versions were validated: each is one safe path component. */
import { join } from 'node:path';
import { parseExactImageRef, VERSION_FILES } from '@plinth/contracts';

export interface ImageVersion {
  readonly name: string;
  readonly version: string;
}

export class StorageLayout {
  constructor(readonly root: string) {}

  get images(): string {
    return join(this.root, 'images');
  }
  get staging(): string {
    return join(this.root, 'staging');
  }
  get wanted(): string {
    return join(this.root, 'wanted');
  }
  get locks(): string {
    return join(this.root, 'locks');
  }
  get revoked(): string {
    return join(this.root, 'revoked');
  }
  /** Versions that are never installed here again. */
  get retired(): string {
    return join(this.root, 'retired');
  }
  /** Retired versions that are not removed and reported yet. */
  get retiring(): string {
    return join(this.root, 'retiring');
  }
  /** Leases that hosts renew. */
  get volumes(): string {
    return join(this.root, 'volumes');
  }

  get origins(): string {
    return join(this.root, 'origins');
  }

  get leases(): string {
    return join(this.root, 'leases');
  }
  /** What the masters' trees stand on; open to nobody but root. */
  get objects(): string {
    return join(this.root, 'objects');
  }
  /** Directories that are made at start, open to all readers. */
  get directories(): readonly string[] {
    return [
      this.images,
      this.staging,
      this.wanted,
      this.locks,
      this.revoked,
      this.retired,
      this.retiring,
      this.leases,
      this.origins,
      this.volumes,
      join(this.root, 'software'),
    ];
  }

  version(image: ImageVersion): string {
    return join(this.images, image.name, image.version);
  }
  manifest(image: ImageVersion): string {
    return join(this.version(image), VERSION_FILES.manifest);
  }
  statement(image: ImageVersion): string {
    return join(this.version(image), VERSION_FILES.statement);
  }
  mountScript(image: ImageVersion): string {
    return join(this.version(image), VERSION_FILES.mountScript);
  }
  /** There while the version is known to be damaged. */
  damage(image: ImageVersion): string {
    return join(this.version(image), VERSION_FILES.damage);
  }
  /** The promotion that it was installed for: where it can be fetched again. */
  origin(image: ImageVersion): string {
    return join(this.origins, `${image.name}@${image.version}.json`);
  }
  stagingOf(image: ImageVersion): string {
    return join(this.staging, `${image.name}-${image.version}`);
  }
  download(image: ImageVersion): string {
    return join(this.stagingOf(image), 'download.part');
  }
  lock(image: ImageVersion): string {
    return join(this.locks, `${image.name}@${image.version}`);
  }
  retirement(image: ImageVersion): string {
    return join(this.retired, `${image.name}@${image.version}.json`);
  }
  removal(image: ImageVersion): string {
    return join(this.retiring, `${image.name}@${image.version}.json`);
  }
  revocation(image: ImageVersion): string {
    return join(this.revoked, `${image.name}@${image.version}.json`);
  }
}

/** Splits `debian-12-v3` into name and version at the last dash; a version contains no dash. */
export function imageOfStaging(directory: string): ImageVersion | undefined {
  const dash = directory.lastIndexOf('-');
  return dash < 0 ? undefined : parseExactImageRef(`${directory.slice(0, dash)}@${directory.slice(dash + 1)}`);
}
