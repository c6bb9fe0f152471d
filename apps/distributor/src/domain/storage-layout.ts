/** The paths in the directory of a storage node: its installed images, and what else is there. */
import { join } from 'node:path';
import { type ImageVersion, StoreLayout } from '@plinth/image-transfer/domain';

export class StorageLayout extends StoreLayout {
  get wanted(): string {
    return join(this.root, 'wanted');
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
  get volumes(): string {
    return join(this.root, 'volumes');
  }
  get origins(): string {
    return join(this.root, 'origins');
  }
  /** What is in production, as it was received. */
  get production(): string {
    return join(this.root, 'production');
  }
  /** Held by the distributor that receives and serves. */
  get lead(): string {
    return join(this.production, '.lead');
  }
  /** Where images are served: a URL. */
  get servingAddress(): string {
    return join(this.production, '.serving');
  }
  /** Leases that hosts renew. */
  get leases(): string {
    return join(this.root, 'leases');
  }
  override get directories(): readonly string[] {
    return [
      ...super.directories,
      this.wanted,
      this.revoked,
      this.retired,
      this.retiring,
      this.leases,
      this.origins,
      this.production,
      this.volumes,
      join(this.root, 'software'),
    ];
  }

  /** The promotion that it was installed for: where it can be fetched again. */
  origin(image: ImageVersion): string {
    return join(this.origins, `${image.name}@${image.version}.json`);
  }
  productionRecord(image: ImageVersion): string {
    return join(this.production, `${image.name}@${image.version}.json`);
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
