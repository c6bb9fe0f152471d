/** From a recipe to a signed version directory in the testing repository. */
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateMountScript } from '@plinth/container-runtime';
import {
  archiveFileName,
  canonicalJson,
  type Digest,
  type ImageManifest,
  type ImagePackage,
  type SignedStatement,
  validateManifest,
  VERSION_FILES,
} from '@plinth/contracts';
import { digestOf, type SigningKey } from '@plinth/image-trust';
import { digestOfFile, packArchive } from '../adapters/repository/archive.js';
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

/** Token of the {@link ImageMaker}. */
export const IMAGE_MAKER = Symbol('image maker');

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
  const version = join(work, 'version');
  const root = join(version, VERSION_FILES.root);
  await mkdir(version, { mode: 0o755 });
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
  const scriptPath = join(version, VERSION_FILES.mountScript);
  await writeFile(scriptPath, script, { mode: 0o755 });
  await utimes(scriptPath, times.sourceDateEpoch, times.sourceDateEpoch);
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
  const directory = join(work, 'finished');
  await mkdir(directory, { mode: 0o755 });
  const archive = join(directory, archiveFileName(build.name, versionOf(build)));
  // A tar has a header of at least 512 bytes for each entry.
  const expected = manifest.totals.bytes + 1_024 * entries.length;
  await packArchive(version, entries, archive, signal, (bytes) => onProgress('archive', bytes / expected));
  const text = canonicalJson(manifest);
  await writeFile(join(directory, VERSION_FILES.manifest), text, { mode: 0o644 });
  const statement = maker.signer.sign({
    schema: 1,
    name: build.name,
    version: versionOf(build),
    contentDigest: manifest.contentDigest,
    manifestDigest: digestOf(text),
    manifestBytes: Buffer.byteLength(text),
    archiveDigest: await digestOfFile(archive),
    archiveBytes: (await stat(archive)).size,
  });
  await writeFile(join(directory, VERSION_FILES.statement), canonicalJson(statement), { mode: 0o644 });
  return { directory, manifest, statement, packages: installed };
}

async function checkCommand(root: string, command: readonly string[]): Promise<void> {
  const program = command[0] ?? '';
  if (!program.startsWith('/') || (await new ImageTree(root).isExecutable(program))) return;
  throw new BuildRefusal(
    'invalid-recipe',
    `the default command ${program} is not an executable file of the image; name another with command`,
  );
}
