/** A Debian tree from a mirror, with mmdebstrap: every package checked against the archive's signatures. */
import { mkdir } from 'node:fs/promises';
import { BuildRefusal, classifyPackageFailure } from '../domain/build-refusal.js';
import { PackageProgress } from '../domain/build-progress.js';
import type { RecipeSource } from '../domain/recipe.js';
import type { BootstrapTarget } from './bootstrap.js';
import { ImageTree } from './image-tree.js';
import { runCaptive } from './process.js';

type DebianSource = Extract<RecipeSource, { kind: 'mmdebstrap' }>;

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SNAPSHOTS = 'http://snapshot.debian.org/archive';

export class DebianBootstrap {
  /** @param mirror for recipes that name none */
  constructor(private readonly mirror: string) {}

  async make(source: DebianSource, target: BootstrapTarget): Promise<void> {
    await mkdir(target.scratch, { recursive: true, mode: 0o700 });
    const progress = new PackageProgress();
    const result = await runCaptive(this.argv(source, target), {
      env: { SOURCE_DATE_EPOCH: String(target.sourceDateEpoch), TMPDIR: target.scratch, HOME: target.scratch, DEBIAN_FRONTEND: 'noninteractive' },
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

  private argv(source: DebianSource, target: BootstrapTarget): string[] {
    const options = ['--mode=root', '--format=directory', '--verbose', `--variant=${source.variant}`, `--keyring=${KEYRING}`];
    if (target.packages.length > 0) options.push(`--include=${target.packages.join(',')}`);
    options.push('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Retries "3"', '--aptopt=Acquire::http::Timeout "30"');
    // A snapshot's index is older than its own validity.
    if (source.snapshot !== undefined) options.push('--aptopt=Acquire::Check-Valid-Until "false"');
    return ['mmdebstrap', ...options, '--', source.suite, target.root, ...this.archives(source)];
  }

  /** Lines of sources.list. */
  private archives(source: DebianSource): string[] {
    const components = source.components.join(' ');
    const main = source.snapshot !== undefined ? `${SNAPSHOTS}/debian/${source.snapshot}` : (source.mirror ?? this.mirror).replace(/\/+$/, '');
    const lines = [`deb ${main} ${source.suite} ${components}`];
    if (!source.security) return lines;
    const security = source.snapshot !== undefined ? `${SNAPSHOTS}/debian-security/${source.snapshot}` : `${main}-security`;
    return [...lines, `deb ${security} ${source.suite}-security ${components}`];
  }
}

/** mmdebstrap copies these from the machine it runs on. */
async function forgetTheBuilder(root: string): Promise<void> {
  const tree = new ImageTree(root);
  await tree.remove('/etc/resolv.conf');
  await tree.write('/etc/resolv.conf', '', 0o644);
  await tree.write('/etc/hostname', 'localhost\n', 0o644);
}
