/** Applies a recipe's changes to a tree, in this order: packages, authentication, time zone, files, commands. */
import { BuildRefusal, classifyPackageFailure } from '../../domain/build-refusal.js';
import { PackageProgress } from '../../domain/build-progress.js';
import { mergeNsswitch } from '../../domain/nsswitch.js';
import type { Recipe } from '../../domain/recipe.js';
import { ImageTree } from './image-tree.js';
import { BASE_ENVIRONMENT } from '../tools/process.js';
import type { Sandbox } from '../tools/sandbox.js';

export interface Customisation {
  readonly buildId: string;
  readonly root: string;
  readonly recipe: Recipe;
  /** Packages that the bootstrap left to be installed in the tree. */
  readonly packages: readonly string[];
  readonly timezone: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly sourceDateEpoch: number;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly onProgress: (fraction: number) => void;
}

/**
 * Keeps services of installed packages from being started in the build (deb-systemd-invoke, invoke-rc.d: 101 is "not
 * allowed").
 */
const POLICY = '/usr/sbin/policy-rc.d';
const APT = [
  'apt-get',
  '-y',
  '-q',
  '-o',
  'APT::Install-Recommends=false',
  '-o',
  'APT::Sandbox::User=root',
  '-o',
  'Dpkg::Options::=--force-confold',
  '-o',
  'Acquire::Retries=3',
];

export async function customise(sandbox: Sandbox, work: Customisation): Promise<void> {
  const tree = new ImageTree(work.root);
  for (const directory of ['/proc', '/sys', '/dev', '/run']) await tree.directory(directory);
  await tree.directory('/tmp', 0o1777);
  await changePackages(sandbox, tree, work);
  await writeAuthentication(tree, work.recipe.auth);
  await writeTimezone(tree, work);
  for (const file of work.recipe.files) {
    await tree.write(file.path, file.content, file.mode, await tree.owner(file.owner.user, file.owner.group));
  }
  for (const [index, argv] of work.recipe.run.entries()) {
    work.onLine(`+ ${argv.join(' ')}`);
    const { exitCode, tail } = await sandbox.run(work.buildId, { ...sandboxOf(work), argv, network: 'isolated' });
    if (exitCode !== 0) throw commandFailed(`run[${index}]`, exitCode, tail);
    work.onProgress(0.5 + (0.5 * (index + 1)) / work.recipe.run.length);
  }
}

function sandboxOf(work: Customisation): {
  root: string;
  env: Readonly<Record<string, string>>;
  onLine: (line: string) => void;
  signal: AbortSignal;
} {
  const env = {
    ...BASE_ENVIRONMENT,
    HOME: '/root',
    DEBIAN_FRONTEND: 'noninteractive',
    SOURCE_DATE_EPOCH: String(work.sourceDateEpoch),
    ...work.environment,
  };
  return { root: work.root, env, onLine: work.onLine, signal: work.signal };
}

function commandFailed(path: string, exitCode: number, tail: string): BuildRefusal {
  if (tail.includes('No space left on device'))
    return new BuildRefusal('no-space', `${path}: the disk of the builder is full`);
  return new BuildRefusal('build-command-failed', `${path} ended with exit code ${exitCode}; see the log`);
}

async function changePackages(sandbox: Sandbox, tree: ImageTree, work: Customisation): Promise<void> {
  const { remove } = work.recipe.packages;
  if (work.packages.length === 0 && remove.length === 0) return;
  if (!(await tree.isExecutable('/usr/bin/apt-get')))
    throw new BuildRefusal(
      'invalid-recipe',
      'packages: the image has no apt-get; packages can only be changed in Debian images that have it',
    );
  const progress = new PackageProgress();
  const apt = async (words: readonly string[], network: 'isolated' | 'host'): Promise<void> => {
    const onLine = (line: string): void => {
      work.onLine(line);
      work.onProgress(0.5 * progress.line(line));
    };
    const { exitCode, tail } = await sandbox.run(work.buildId, {
      ...sandboxOf(work),
      argv: [...APT, ...words],
      network,
      onLine,
    });
    if (exitCode === 0) return;
    const { reason, message } = classifyPackageFailure(tail);
    throw new BuildRefusal(reason, `packages: ${message}`);
  };
  const own = await tree.read(POLICY);
  if (own === undefined) await tree.write(POLICY, '#!/bin/sh\nexit 101\n', 0o755);
  try {
    if (work.packages.length > 0) {
      // Without this a mirror that does not answer is only a warning.
      await apt(['-o', 'APT::Update::Error-Mode=any', 'update'], 'host');
      await apt(['install', '--', ...work.packages], 'host');
    }
    if (remove.length > 0) await apt(['purge', '--allow-remove-essential', '--', ...remove], 'isolated');
  } finally {
    if (own === undefined) await tree.remove(POLICY);
  }
}

async function writeAuthentication(tree: ImageTree, auth: Recipe['auth']): Promise<void> {
  if (Object.keys(auth.nsswitch).length > 0) {
    await tree.write(
      '/etc/nsswitch.conf',
      mergeNsswitch((await tree.read('/etc/nsswitch.conf')) ?? '', auth.nsswitch),
      0o644,
    );
  }
  for (const [service, content] of Object.entries(auth.pam)) await tree.write(`/etc/pam.d/${service}`, content, 0o644);
}

async function writeTimezone(tree: ImageTree, { timezone, recipe }: Customisation): Promise<void> {
  const zone = `/usr/share/zoneinfo/${timezone}`;
  if (await tree.isFile(zone)) {
    await tree.link(zone, '/etc/localtime');
    await tree.write('/etc/timezone', `${timezone}\n`, 0o644);
    return;
  }
  if (recipe.timezone !== undefined && timezone !== 'UTC' && timezone !== 'Etc/UTC') {
    throw new BuildRefusal('invalid-recipe', `timezone: the image has no ${zone}; add the package tzdata`);
  }
}
