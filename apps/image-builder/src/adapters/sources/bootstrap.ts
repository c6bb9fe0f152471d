/** Makes the tree that a recipe begins with, from whatever its `from` names. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, type ImageManifest, VERSION_FILES } from '@plinth/contracts';
import type { RecipeSource } from '../../domain/recipe.js';
import { extractArchive } from '../repository/archive.js';
import type { BootstrapTarget } from './bootstrap-target.js';
import { DebianBootstrap } from './debian-bootstrap.js';
import { layersOf } from './oci-layout.js';
import { SourceFiles } from './source-files.js';
import { TreeUnpacker } from './tree-unpacker.js';

/** The image a recipe builds on. */
export interface ParentImage {
  readonly ref: string;
  readonly archive: string;
  readonly archiveDigest: Digest;
  readonly manifest: ImageManifest;
}

export class Bootstrap {
  constructor(
    private readonly debian: DebianBootstrap,
    private readonly sources: SourceFiles,
  ) {}

  /** @returns the packages that are still to be installed in the tree */
  async make(
    source: RecipeSource,
    parent: ParentImage | undefined,
    target: BootstrapTarget,
  ): Promise<readonly string[]> {
    switch (source.kind) {
      case 'mmdebstrap':
        await this.debian.make(source, target);
        return [];
      case 'rootfs': {
        const tarball = await this.sources.tarball(source, target.scratch, target.signal);
        const unpacker = await TreeUnpacker.open(target.root);
        await unpacker.add(tarball, 'plain', target.signal);
        return target.packages;
      }
      case 'oci': {
        const layout = await this.sources.directory(source.path);
        const layers = await layersOf(layout, source.ref);
        const unpacker = await TreeUnpacker.open(target.root);
        for (const [index, layer] of layers.entries()) {
          await unpacker.add(layer, 'layer', target.signal);
          target.onProgress((index + 1) / layers.length);
        }
        return target.packages;
      }
      case 'image': {
        if (!parent) throw new Error('the parent of the image was not looked up');
        const unpacked = join(target.scratch, 'parent');
        await extractArchive(parent.archive, parent.archiveDigest, unpacked, target.signal);
        await rename(join(unpacked, VERSION_FILES.root), target.root);
        target.onProgress(1);
        return target.packages;
      }
    }
  }
}
