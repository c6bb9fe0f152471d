/** From a recipe to a signed version directory in the testing repository. */
import { join } from 'node:path';
import { generateMountScript } from '@plinth/container-runtime';
import {
  type Digest,
  type ImageManifest,
  type ImagePackage,
  type ImageUser,
  MOUNTED_BY_THE_HOST,
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
import { findUser } from '../domain/image-user.js';
import { LeftOut } from '../domain/kept-attributes.js';
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

/** Timestamps of file systems are coarser than this process's clock. */
const CLOCK_STEP_SECONDS = 2;

export async function makeImage(maker: ImageMaker, options: MakeOptions): Promise<MadeImage> {
  const { build, recipe, parent, work, signal, onLine, onProgress } = options;
  const files = await ImageFiles.create(work);
  const { root } = files;
  const times = timeRuleOf(recipe, Math.floor(Date.now() / 1000) - CLOCK_STEP_SECONDS);
  const common = { root, sourceDateEpoch: times.sourceDateEpoch, signal, onLine };

  onProgress('bootstrap', 0);
  const source = await maker.bootstrap.make(recipe.source, parent, {
    ...common,
    scratch: join(work, 'scratch'),
    packages: recipe.packages.add,
    onProgress: (within) => onProgress('bootstrap', within),
  });
  const settings = settingsOf(recipe, source.settings);
  onProgress('customise', 0);
  await customise(maker.sandbox, {
    ...common,
    buildId: build.buildId,
    recipe,
    packages: source.packages,
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
  const tree = new ImageTree(root);
  const [program = ''] = [...(settings.entrypoint ?? []), ...settings.command];
  await checkProgram(tree, program);
  await makeWorkingDirectory(tree, settings.workingDirectory);
  const user = await findImageUser(tree, settings.user);

  const installed = await installedPackages(tree);

  onProgress('manifest', 0);
  const leftOut = new LeftOut();
  const entries = await scanTree(root, {
    ...{ times, leftOut, signal },
    onProgress: (within) => onProgress('manifest', within),
  });
  for (const line of leftOut.lines()) onLine(line);
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
      user,
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
  if (!checked.ok) throw new BuildRefusal('unsafe-tree', `the image is not valid: ${checked.problems.join('; ')}`);

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

async function checkProgram(tree: ImageTree, program: string): Promise<void> {
  if (!program.startsWith('/') || (await tree.isExecutable(program))) return;
  throw new BuildRefusal(
    'invalid-recipe',
    `the default program ${program} is not an executable file of the image; ` +
      'name another with command, init or entrypoint',
  );
}

/** Makes the directory, unless it lies below a mount of the host, which brings its own directories. */
async function makeWorkingDirectory(tree: ImageTree, path: string | undefined): Promise<void> {
  if (path === undefined || MOUNTED_BY_THE_HOST.some((name) => `${path}/`.startsWith(`/${name}/`))) return;
  await tree.directory(path);
}

async function findImageUser(tree: ImageTree, name: string | undefined): Promise<ImageUser | undefined> {
  if (name === undefined) return undefined;
  const found = findUser(name, (await tree.read('/etc/passwd')) ?? '', (await tree.read('/etc/group')) ?? '');
  if (!found.ok) throw new BuildRefusal('invalid-recipe', `user: ${found.problem}; name another, or a number`);
  const { uid, gid, additionalGids } = found.user;
  return uid === 0 && gid === 0 && additionalGids.length === 0 ? undefined : found.user;
}
