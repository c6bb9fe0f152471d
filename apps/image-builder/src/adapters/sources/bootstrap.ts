/** Makes the tree that a recipe begins with, from the source that its `from` names. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, type ImageManifest, VERSION_FILES } from '@plinth/contracts';
import { settingsOfParent, type SourceSettings } from '../../domain/image-settings.js';
import type { RecipeSource } from '../../domain/recipe.js';
import { extractArchive } from '../repository/archive.js';
import type { BootstrapTarget } from './bootstrap-target.js';
import { DebianBootstrap } from './debian-bootstrap.js';
import { openOciImage } from './oci-layout.js';
import { SourceFiles } from './source-files.js';
import { TreeUnpacker } from './tree-unpacker.js';

/** The image a recipe builds on. */
export interface ParentImage {
  readonly ref: string;
  readonly archive: string;
  readonly archiveDigest: Digest;
  readonly manifest: ImageManifest;
}

export interface Bootstrapped {
  /** Packages still to be installed in the tree. */
  readonly packages: readonly string[];
  /** Settings of the image from its source; absent: none. */
  readonly settings?: SourceSettings;
}

export class Bootstrap {
  constructor(
    private readonly debian: DebianBootstrap,
    private readonly sources: SourceFiles,
  ) {}

  async make(source: RecipeSource, parent: ParentImage | undefined, target: BootstrapTarget): Promise<Bootstrapped> {
    switch (source.kind) {
      case 'mmdebstrap':
        await this.debian.make(source, target);
        return { packages: [] };
      case 'rootfs': {
        const tarball = await this.sources.tarball(source, target.scratch, target.signal);
        const unpacker = await TreeUnpacker.open(target.root);
        await unpacker.add(tarball, 'plain', target.signal);
        for (const line of unpacker.leftOut.lines()) target.onLine(line);
        return { packages: target.packages };
      }
      case 'oci': {
        const layout = await this.sources.directory(source.path);
        const { layers, settings, notes } = await openOciImage(layout, source.ref);
        for (const note of notes) target.onLine(note);
        const unpacker = await TreeUnpacker.open(target.root);
        for (const [index, layer] of layers.entries()) {
          await unpacker.add(layer, 'layer', target.signal);
          target.onProgress((index + 1) / layers.length);
        }
        for (const line of unpacker.leftOut.lines()) target.onLine(line);
        return { packages: target.packages, settings };
      }
      case 'image': {
        if (!parent) throw new Error('the parent of the image was not looked up');
        const unpacked = join(target.scratch, 'parent');
        await extractArchive(parent.archive, parent.archiveDigest, unpacked, target.signal);
        await rename(join(unpacked, VERSION_FILES.root), target.root);
        target.onProgress(1);
        return { packages: target.packages, settings: settingsOfParent(parent.manifest) };
      }
    }
  }
}
