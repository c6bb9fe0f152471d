/** The paths in a directory of installed images. Names and versions were validated: each is one safe path component. */
import { join } from 'node:path';
import { parseExactImageRef, VERSION_FILES } from '@plinth/contracts';

export interface ImageVersion {
  readonly name: string;
  readonly version: string;
}

export class StoreLayout {
  constructor(readonly root: string) {}

  get images(): string {
    return join(this.root, 'images');
  }
  get staging(): string {
    return join(this.root, 'staging');
  }
  get locks(): string {
    return join(this.root, 'locks');
  }
  /** What the trees of all versions stand on; open to nobody but root. */
  get objects(): string {
    return join(this.root, 'objects');
  }
  /** What is served is packed here. */
  get packed(): string {
    return join(this.root, 'packed');
  }
  /** Directories that are made at start, open to all readers. */
  get directories(): readonly string[] {
    return [this.images, this.staging, this.locks];
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
  stagingOf(image: ImageVersion): string {
    return join(this.staging, `${image.name}-${image.version}`);
  }
  download(image: ImageVersion): string {
    return join(this.stagingOf(image), 'download.part');
  }
  lock(image: ImageVersion): string {
    return join(this.locks, `${image.name}@${image.version}`);
  }
}

/** Splits `debian-12-v3` into name and version at the last dash; a version contains no dash. */
export function imageOfStaging(directory: string): ImageVersion | undefined {
  const dash = directory.lastIndexOf('-');
  return dash < 0 ? undefined : parseExactImageRef(`${directory.slice(0, dash)}@${directory.slice(dash + 1)}`);
}
