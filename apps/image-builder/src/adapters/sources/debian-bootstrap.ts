/** A Debian tree from a mirror, with mmdebstrap: every package checked against the archive's signatures. */
import { mkdir } from 'node:fs/promises';
import { BuildRefusal, classifyPackageFailure } from '../../domain/build-refusal.js';
import { PackageProgress } from '../../domain/build-progress.js';
import type { RecipeSource } from '../../domain/recipe.js';
import { machineMirror } from './apt-sources.js';
import type { BootstrapTarget } from './bootstrap-target.js';
import { ImageTree } from '../tree/image-tree.js';
import { runCaptive } from '../tools/process.js';

type DebianSource = Extract<RecipeSource, { kind: 'mmdebstrap' }>;

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Where packages come from. */
export interface DebianArchives {
  /** Mirror for recipes that name none; absent: the source of this machine's own packages. */
  readonly mirror?: string;
  /** Below it lie `debian/<time>` and `debian-security/<time>`; absent: recipes may not ask for a snapshot. */
  readonly snapshots?: string;
}

export class DebianBootstrap {
  constructor(private readonly archives: DebianArchives) {}

  async make(source: DebianSource, target: BootstrapTarget): Promise<void> {
    await mkdir(target.scratch, { recursive: true, mode: 0o700 });
    const progress = new PackageProgress();
    const result = await runCaptive(argv(source, target, await this.lines(source, target.signal)), {
      env: {
        SOURCE_DATE_EPOCH: String(target.sourceDateEpoch),
        TMPDIR: target.scratch,
        HOME: target.scratch,
        DEBIAN_FRONTEND: 'noninteractive',
      },
      signal: target.signal,
      onLine: (line) => {
        target.onLine(line);
        target.onProgress(progress.line(line));
      },
    });
    if (result.exitCode !== 0) {
      const { reason, message } = classifyPackageFailure(result.tail);
      throw new BuildRefusal(reason, message);
    }
    await forgetTheBuilder(target.root);
  }

  /** Lines of sources.list. */
  private async lines(source: DebianSource, signal: AbortSignal): Promise<readonly string[]> {
    const { main, security } = await this.addresses(source, signal);
    const components = source.components.join(' ');
    const lines = [`deb ${main} ${source.suite} ${components}`];
    return source.security ? [...lines, `deb ${security} ${source.suite}-security ${components}`] : lines;
  }

  private async addresses(
    { mirror, snapshot }: DebianSource,
    signal: AbortSignal,
  ): Promise<{ readonly main: string; readonly security: string }> {
    if (snapshot === undefined) {
      const main = withoutSlash(mirror ?? this.archives.mirror ?? (await machineMirror(signal)));
      return { main, security: `${main}-security` };
    }
    const { snapshots } = this.archives;
    if (snapshots === undefined) {
      throw new BuildRefusal(
        'source-unavailable',
        'the recipe asks for a snapshot, but this builder has no archive of snapshots: set PLINTH_DEBIAN_SNAPSHOTS',
      );
    }
    const base = withoutSlash(snapshots);
    return { main: `${base}/debian/${snapshot}`, security: `${base}/debian-security/${snapshot}` };
  }
}

function argv(source: DebianSource, target: BootstrapTarget, archives: readonly string[]): string[] {
  const options = [
    '--mode=root',
    '--format=directory',
    '--verbose',
    `--variant=${source.variant}`,
    `--keyring=${KEYRING}`,
  ];
  if (target.packages.length > 0) options.push(`--include=${target.packages.join(',')}`);
  options.push(
    '--aptopt=APT::Install-Recommends "false"',
    '--aptopt=Acquire::Retries "3"',
    '--aptopt=Acquire::http::Timeout "30"',
  );
  // A snapshot's index is older than its own validity.
  if (source.snapshot !== undefined) options.push('--aptopt=Acquire::Check-Valid-Until "false"');
  return ['mmdebstrap', ...options, '--', source.suite, target.root, ...archives];
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');

/** mmdebstrap copies these from the machine it runs on. */
async function forgetTheBuilder(root: string): Promise<void> {
  const tree = new ImageTree(root);
  await tree.remove('/etc/resolv.conf');
  await tree.write('/etc/resolv.conf', '', 0o644);
  await tree.write('/etc/hostname', 'localhost\n', 0o644);
}
