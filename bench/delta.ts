/**
 * `npm run bench:delta`: bytes on the wire of a new version, and processor time to make it, against what others would
 * send: `zstd --patch-from` over the whole tar (the bound for one dictionary), the layer of changed files that Docker
 * would push, chunks of casync and a static delta of OSTree where these programs are installed. Three real updates of
 * a Debian 12, made with mmdebstrap: security updates, one package more, Debian 13. `--trees DIR` keeps the trees
 * there for the next run; `--from DIR --to DIR` compares two trees of your own. `--quick` takes level 3 for the peers.
 * Needs root, a mirror of Debian, some GB of disk, and a quarter of an hour.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { comparePaths, type ManifestEntry } from '@plinth/contracts';
import { packDocument, packSegment, planDelta, unpackSegment } from '@plinth/image-delta';
import { row } from './system.js';

const { values: options } = parseArgs({
  options: {
    trees: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const LEVEL = options.quick ? '-3' : '-19';
const PACKAGES = 'nginx,openssl,curl,openssh-server,python3-minimal';
/** sysconf(_SC_CLK_TCK) of Linux. */
const TICK_SECONDS = 0.01;
const { signal } = new AbortController();
const scratch = mkdtempSync(join(tmpdir(), 'plinth-bench-delta-'));

interface Tree {
  readonly root: string;
  readonly entries: readonly ManifestEntry[];
  /** What stands for the manifest. */
  readonly manifest: string;
  readonly tar: string;
}

interface Sent {
  readonly bytes: number;
  readonly processorSeconds: number;
}

/** Of this process and of its children that have ended. */
function processorSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * TICK_SECONDS;
}

async function measured(work: () => Promise<number> | number): Promise<Sent> {
  const before = processorSeconds();
  const bytes = await work();
  return { bytes, processorSeconds: processorSeconds() - before };
}

/** Sources of packages: the machine's own mirror. */
function bootstrap(name: string, suite: string, more: string, archives: readonly string[]): string {
  const directory = options.trees ?? scratch;
  mkdirSync(directory, { recursive: true });
  const root = join(directory, name);
  if (existsSync(root)) return root;
  console.log(`making ${name} …`);
  execFileSync(
    'mmdebstrap',
    [
      ...['--quiet', '--mode=root', '--format=directory', '--variant=minbase'],
      ...['--aptopt=APT::Install-Recommends "false"', `--include=${PACKAGES}${more}`, suite, `${root}.new`],
      ...archives,
    ],
    { env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000', DEBIAN_FRONTEND: 'noninteractive' }, stdio: 'inherit' },
  );
  for (const left of ['var/cache/apt', 'var/lib/apt/lists', 'var/log'])
    rmSync(join(`${root}.new`, left), { recursive: true, force: true });
  // Images have no devices, and OSTree takes none.
  for (const name of readdirSync(join(`${root}.new`, 'dev')))
    rmSync(join(`${root}.new`, 'dev', name), { recursive: true });
  execFileSync('mv', [`${root}.new`, root]);
  return root;
}

/** The mirror in the machine's package sources. */
function mirror(): string {
  const [found = ''] = execFileSync('apt-get', ['indextargets', '--format', '$(SITE)'], { encoding: 'utf8' })
    .split('\n')
    .filter((site) => /\/debian\/?$/.test(site));
  if (found === '') throw new Error('the package sources of this machine name no mirror: use --from and --to');
  return found.replace(/\/$/, '');
}

function scan(root: string, name: string): Tree {
  const entries: ManifestEntry[] = [];
  const inodes = new Map<number, string>();
  const visit = (path: string): void => {
    const file = join(root, path);
    const { mode, uid, gid, mtimeMs, size, nlink, ino } = lstatSync(file);
    const shared = { path, mode: mode & 0o7777, uid, gid, mtime: Math.floor(mtimeMs / 1000) };
    const kind = mode & 0o170000;
    if (kind === 0o040000) {
      entries.push({ ...shared, type: 'directory' });
      for (const child of readdirSync(file)) visit(path === '.' ? child : `${path}/${child}`);
    } else if (kind === 0o120000) entries.push({ ...shared, type: 'symlink', target: readlinkSync(file) });
    else if (kind === 0o100000) {
      const link = nlink > 1 ? inodes.get(ino) : undefined;
      inodes.set(ino, link ?? path);
      const digest = `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}` as const;
      entries.push({ ...shared, type: 'file', size, digest, ...(link !== undefined && { link }) });
    }
  };
  visit('.');
  entries.sort((one, other) => comparePaths(one.path, other.path));
  const [manifest, tar] = [join(scratch, `${name}.json`), join(scratch, `${name}.tar`)];
  writeFileSync(manifest, JSON.stringify({ entries }));
  execFileSync('tar', ['-C', root, '--sort=name', '--numeric-owner', '-cf', tar, '.']);
  return { root, entries, manifest, tar };
}

async function ours(base: Tree, next: Tree): Promise<{ readonly made: Sent; readonly unpacked: Sent }> {
  const work = mkdtempSync(join(scratch, 'ours-'));
  const segments = planDelta(base.entries, next.entries);
  const made = await measured(async () => {
    await packDocument(base.manifest, next.manifest, join(work, 'manifest'), signal);
    for (const [index, segment] of segments.entries())
      await packSegment({ segment, base: base.root, next: next.root, scratch: work, signal }, join(work, `${index}`));
    return [join(work, 'manifest'), ...segments.keys()].reduce<number>(
      (sum, name) => sum + statSync(typeof name === 'string' ? name : join(work, String(name))).size,
      0,
    );
  });
  const files = new Map(next.entries.flatMap((entry) => (entry.type === 'file' ? [[entry.path, entry]] : [])));
  const contents = join(work, 'contents');
  mkdirSync(contents);
  const unpacked = await measured(async () => {
    for (const [index, segment] of segments.entries()) {
      const result = await unpackSegment({
        ...{ segment, file: join(work, `${index}`), base: base.root, contents, scratch: work, signal },
        contentOf: (path) => files.get(path) ?? { digest: 'sha256:', size: 0 },
      });
      if (!result.ok) throw new Error(result.message);
    }
    return segments.reduce((sum, { targetBytes }) => sum + targetBytes, 0);
  });
  rmSync(work, { recursive: true });
  return { made, unpacked };
}

function compressed(file: string, level: string, ...more: readonly string[]): number {
  const target = join(scratch, 'compressed');
  execFileSync('zstd', ['-q', '-f', level, ...more, file, '-o', target], { stdio: ['ignore', 'inherit', 'ignore'] });
  return statSync(target).size;
}

/** What changed or is new, as a tar: a layer. */
function layer(base: Tree, next: Tree): number {
  const before = new Map(base.entries.map((entry) => [entry.path, JSON.stringify(entry)]));
  const changed = next.entries.filter((entry) => before.get(entry.path) !== JSON.stringify(entry));
  const tar = join(scratch, 'layer.tar');
  execFileSync('tar', ['-C', next.root, '--no-recursion', '--null', '-T', '-', '-cf', tar], {
    input: changed.map(({ path }) => path).join('\0'),
  });
  return compressed(tar, '-6');
}

/** Chunks of the new tree that the store lacks. */
function casync(base: Tree, next: Tree): number {
  const work = mkdtempSync(join(scratch, 'casync-'));
  const make = (root: string, name: string): void => {
    execFileSync('casync', ['make', '--with=unix', `--store=${work}/store`, `${work}/${name}.caidx`, root], {
      stdio: 'ignore',
    });
  };
  make(base.root, 'base');
  const before = bytesBelow(join(work, 'store'));
  make(next.root, 'next');
  const bytes = bytesBelow(join(work, 'store')) - before + statSync(join(work, 'next.caidx')).size;
  rmSync(work, { recursive: true });
  return bytes;
}

function ostree(base: Tree, next: Tree): number {
  const repository = mkdtempSync(join(scratch, 'ostree-'));
  const run = (...argv: readonly string[]): string =>
    execFileSync('ostree', [`--repo=${repository}`, ...argv], { encoding: 'utf8' }).trim();
  run('init', '--mode=archive');
  const commit = (root: string): string => run('commit', '--branch=image', `--tree=dir=${root}`);
  const [from, to] = [commit(base.root), commit(next.root)];
  run('static-delta', 'generate', `--from=${from}`, `--to=${to}`);
  const bytes = bytesBelow(join(repository, 'deltas'));
  rmSync(repository, { recursive: true });
  return bytes;
}

function bytesBelow(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

async function compare(title: string, base: Tree, next: Tree): Promise<void> {
  console.log(`\n${title}`);
  const { made, unpacked } = await ours(base, next);
  const line = (name: string, { bytes, processorSeconds: seconds }: Sent): void =>
    row(
      name,
      `${(bytes / 1e6).toFixed(3)} MB, processor ${seconds.toFixed(1)} s; delta is ${(made.bytes / bytes).toFixed(2)} of it`,
    );
  row('delta', `${(made.bytes / 1e6).toFixed(3)} MB, processor ${made.processorSeconds.toFixed(1)} s`);
  row('  unpacked', `${(unpacked.bytes / 1e6).toFixed(1)} MB, processor ${unpacked.processorSeconds.toFixed(1)} s`);
  line('whole archive, zstd -6', await measured(() => compressed(next.tar, '-6')));
  line('layer of changed files, zstd -6', await measured(() => layer(base, next)));
  line(
    `zstd ${LEVEL} --patch-from, whole tar`,
    await measured(() => compressed(next.tar, LEVEL, '--long=31', `--patch-from=${base.tar}`)),
  );
  for (const [program, peer] of [
    ['casync', casync],
    ['ostree', ostree],
  ] as const)
    if (isInstalled(program)) line(program, await measured(() => peer(base, next)));
    else row(program, `is not installed: apt-get install ${program}`);
}

try {
  if (options.from !== undefined && options.to !== undefined) {
    await compare('two trees', scan(options.from, 'from'), scan(options.to, 'to'));
  } else {
    const main = `deb ${mirror()} bookworm main`;
    const updates = [`deb ${mirror()}-security bookworm-security main`, `deb ${mirror()} bookworm-updates main`];
    const release = scan(bootstrap('debian-12', 'bookworm', '', [main]), 'release');
    const secure = scan(bootstrap('debian-12-security', 'bookworm', '', [main, ...updates]), 'secure');
    const larger = scan(bootstrap('debian-12-ping', 'bookworm', ',iputils-ping', [main, ...updates]), 'larger');
    const newer = scan(bootstrap('debian-13', 'trixie', '', [`deb ${mirror()} trixie main`]), 'newer');
    await compare('security updates', release, secure);
    await compare('one package more', secure, larger);
    await compare('Debian 12 to 13', secure, newer);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
