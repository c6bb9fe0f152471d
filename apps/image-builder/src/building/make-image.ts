/** From a recipe to a signed version directory in the testing repository. */
import { join } from 'node:path';
import { generateMountScript } from '@plinth/container-runtime';
import {
  type Digest,
  type ImageManifest,
  type ImagePackage,
  type SignedStatement,
  validateManifest,
} from '@plinth/contracts';
import { digestOf, type SigningKey } from '@plinth/image-trust';
import { ImageFiles } from '../adapters/repository/image-files.js';
import type { Bootstrap, ParentImage } from '../adapters/sources/bootstrap.js';
import { cleanTree, directoryMode } from '../adapters/tree/clean-tree.js';
import { customise } from '../adapters/tree/customise.js';
import { ImageTree } from '../adapters/tree/image-tree.js';
import { installedPackages } from '../adapters/tree/installed-packages.js';
import { checkMountPlan, makeMountPoints } from '../adapters/tree/mount-points.js';
import type { Sandbox } from '../adapters/tools/sandbox.js';
import { scanTree } from '../adapters/tree/tree-scan.js';
import { BuildRefusal } from '../domain/build-refusal.js';
import type { Phase } from '../domain/build-progress.js';
import { timeRuleOf } from '../domain/clamped-time.js';
import { type ImageBuild, versionOf } from '../domain/image-build.js';
import { mountPlanOf, settingsOf } from '../domain/image-settings.js';
import type { Recipe } from '../domain/recipe.js';
import { sealManifest } from '../domain/seal-manifest.js';

export interface ImageMaker {
  readonly bootstrap: Bootstrap;
  readonly sandbox: Sandbox;
  readonly signer: SigningKey;
  /** Debian's architecture name. */
  readonly architecture: string;
}

export interface MakeOptions {
  readonly build: ImageBuild;
  readonly recipe: Recipe;
  readonly parent: ParentImage | undefined;
  /** Empty directory that is this build's own. */
  readonly work: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly onProgress: (phase: Phase, within: number) => void;
}

export interface MadeImage {
  /** Holds the archive, manifest and statement, ready to be published. */
  readonly directory: string;
  readonly manifest: ImageManifest;
  readonly statement: SignedStatement;
  readonly packages: readonly ImagePackage[];
}

/** File systems tell times by a clock of coarser steps than ours. */
const CLOCK_STEP_SECONDS = 2;

export async function makeImage(maker: ImageMaker, options: MakeOptions): Promise<MadeImage> {
  const { build, recipe, parent, work, signal, onLine, onProgress } = options;
  const files = await ImageFiles.create(work);
  const { root } = files;
  const times = timeRuleOf(recipe, Math.floor(Date.now() / 1000) - CLOCK_STEP_SECONDS);
  const settings = settingsOf(recipe, parent?.manifest);
  const common = { root, sourceDateEpoch: times.sourceDateEpoch, signal, onLine };

  onProgress('bootstrap', 0);
  const packages = await maker.bootstrap.make(recipe.source, parent, {
    ...common,
    scratch: join(work, 'scratch'),
    packages: recipe.packages.add,
    onProgress: (within) => onProgress('bootstrap', within),
  });
  onProgress('customise', 0);
  await customise(maker.sandbox, {
    ...common,
    buildId: build.buildId,
    recipe,
    packages,
    timezone: settings.timezone,
    environment: settings.environment,
    onProgress: (within) => onProgress('customise', within),
  });
  onProgress('clean', 0);
  await cleanTree(root, new Set(recipe.files.map((file) => file.path)));
  const modes = new Map<string, number>();
  for (const { path } of settings.places) modes.set(path, (await directoryMode(root, path)) ?? 0o755);
  const mountPlan = mountPlanOf(settings.places, (path) => modes.get(path) ?? 0o755);
  checkMountPlan(mountPlan);
  await makeMountPoints(root, mountPlan);
  await checkCommand(root, settings.command);

  const installed = await installedPackages(new ImageTree(root));

  onProgress('manifest', 0);
  const entries = await scanTree(root, { times, signal, onProgress: (within) => onProgress('manifest', within) });
  const script = recipe.mountScript ?? generateMountScript(mountPlan);
  await files.writeMountScript(script, times.sourceDateEpoch);
  const manifest = sealManifest(
    {
      name: build.name,
      version: versionOf(build),
      architecture: maker.architecture,
      recipeDigest: build.recipeDigest as Digest,
      parent: parent?.ref,
      settings,
      mountPlan,
      mountScript: {
        digest: digestOf(script),
        bytes: Buffer.byteLength(script),
        custom: recipe.mountScript !== undefined,
      },
      entries,
    },
    digestOf,
  );
  const checked = validateManifest(manifest, digestOf);
  if (!checked.ok) throw new BuildRefusal('unsafe-tree', `the image is not sound: ${checked.problems.join('; ')}`);

  onProgress('archive', 0);
  const archive = await files.pack(manifest, signal, (within) => onProgress('archive', within));
  const text = await files.writeManifest(manifest);
  const statement = maker.signer.sign({
    schema: 1,
    name: build.name,
    version: versionOf(build),
    contentDigest: manifest.contentDigest,
    manifestDigest: digestOf(text),
    manifestBytes: Buffer.byteLength(text),
    archiveDigest: archive.digest,
    archiveBytes: archive.bytes,
  });
  await files.writeStatement(statement);
  return { directory: files.finished, manifest, statement, packages: installed };
}

async function checkCommand(root: string, command: readonly string[]): Promise<void> {
  const program = command[0] ?? '';
  if (!program.startsWith('/') || (await new ImageTree(root).isExecutable(program))) return;
  throw new BuildRefusal(
    'invalid-recipe',
    `the default command ${program} is not an executable file of the image; name another with command`,
  );
}
