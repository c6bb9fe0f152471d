/**
 * `npm run bench:extract`: filling a tree from an archive against `tar -x --zstd` of it, each with the sync of its file
 * system, in turn; then the same archive on a store that has 99 % of its files, then collection and check of the
 * objects. Two sizes, made of files of this machine's /usr. Wall time, and processor time with that of child processes.
 * The file system is an ext4 of its own on a loop device: needs root.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { comparePaths, type ImageManifest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';
import { syncFileSystem } from '@plinth/host-os';
import { collectObjects, extractArchive } from '@plinth/image-store';
import { loopFileSystem } from '@plinth/testkit';
import { percentile, row } from './system.js';

const FILES = Number(process.env['PLINTH_BENCH_FILES'] ?? 30_000);
const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 5);
/** sysconf(_SC_CLK_TCK) of Linux. */
const TICK_MS = 10;

const scratch = mkdtempSync(join(tmpdir(), 'plinth-bench-extract-'));
const disk = loopFileSystem(scratch, 'ext4', 16_384);

interface Corpus {
  readonly archive: string;
  readonly manifest: ImageManifest;
  readonly bytes: number;
  readonly files: number;
}

/** Processor time of this process and of its children that have ended, milliseconds. */
function processorMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * TICK_MS;
}

/** `changed` of a hundred files have other content. */
function makeCorpus(name: string, files: number, changed: number): Corpus {
  const tree = join(disk.path, name);
  mkdirSync(join(tree, VERSION_FILES.root), { recursive: true });
  const found = execFileSync(
    'find',
    ['/usr', '-xdev', '(', '-type', 'f', '-o', '-type', 'l', ')', '-size', '-20M', '-printf', '%P\n'],
    {
      encoding: 'utf8',
      maxBuffer: 1024 ** 3,
    },
  );
  const paths = found.split('\n').filter(Boolean).sort(comparePaths).slice(0, files);
  execFileSync(
    'tar',
    ['-C', '/usr', '--hard-dereference', '--no-recursion', '-cf', join(tree, 'files.tar'), '-T', '-'],
    { input: paths.join('\n') },
  );
  execFileSync('tar', ['-C', join(tree, 'root'), '-xpf', join(tree, 'files.tar')]);
  rmSync(join(tree, 'files.tar'));
  for (const [index, path] of paths.entries()) {
    const target = join(tree, 'root', path);
    if (changed > 0 && index % Math.round(100 / changed) === 0 && lstatSync(target).isFile())
      writeFileSync(target, `${index} is new`);
  }
  writeFileSync(join(tree, VERSION_FILES.mountScript), '#!/bin/sh\n');
  const directories = new Set(['.']);
  for (const path of paths) for (let at = dirname(path); at !== '.'; at = dirname(at)) directories.add(at);
  const entries = [...directories, ...paths].sort(comparePaths).map((path) => entryOf(join(tree, 'root', path), path));
  const archive = join(disk.path, `${name}.tar.zst`);
  const members = ['mount.sh', ...entries.map(({ path }) => (path === '.' ? 'root' : `root/${path}`))];
  execFileSync(
    'tar',
    [
      '-C',
      tree,
      '--format=pax',
      '--pax-option=delete=atime,delete=ctime,delete=mtime',
      '--no-recursion',
      '--numeric-owner',
      '--null',
      '-T',
      '-',
      '-I',
      'zstd -3 -T2',
      '-cf',
      archive,
    ],
    { input: members.join('\0') },
  );
  rmSync(tree, { recursive: true });
  const bytes = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
  const mountScript = {
    digest: `sha256:${createHash('sha256').update('#!/bin/sh\n').digest('hex')}`,
    bytes: 10,
    custom: false,
  };
  const manifest = { entries, mountScript, totals: { entries: entries.length, bytes } } as unknown as ImageManifest;
  return { archive, manifest, bytes, files: paths.length };
}

function entryOf(file: string, path: string): ManifestEntry {
  const { mode, uid, gid, mtimeMs, size } = lstatSync(file);
  const shared = { path, mode: mode & 0o7777, uid, gid, mtime: Math.floor(mtimeMs / 1000) };
  const kind = mode & 0o170000;
  if (kind === 0o040000) return { ...shared, type: 'directory' };
  if (kind === 0o120000) return { ...shared, type: 'symlink', target: readlinkSync(file) };
  return {
    ...shared,
    type: 'file',
    size,
    digest: `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`,
  };
}

interface Cost {
  readonly wallMs: number;
  readonly processorMs: number;
}

async function measured(work: () => Promise<unknown>): Promise<Cost> {
  await syncFileSystem(disk.path);
  const before = processorMs();
  const begun = performance.now();
  await work();
  return { wallMs: performance.now() - begun, processorMs: processorMs() - before };
}

let trees = 0;
function freshTree(): string {
  const tree = join(disk.path, `tree-${++trees}`);
  mkdirSync(tree);
  return tree;
}

async function fill(corpus: Corpus, objects: string): Promise<string> {
  const directory = freshTree();
  const archive = openSync(corpus.archive, 'r');
  const outcome = await extractArchive({ archive, directory, manifest: corpus.manifest, objects });
  closeSync(archive);
  if (!outcome.ok) throw new Error(outcome.message);
  await syncFileSystem(directory);
  return directory;
}

const median = (costs: readonly Cost[], of: keyof Cost): number =>
  percentile(
    costs.map((cost) => cost[of]),
    0.5,
  );

async function compare(files: number): Promise<void> {
  const corpus = makeCorpus(`all-${files}`, files, 0);
  const update = makeCorpus(`update-${files}`, files, 1);
  const objects = join(disk.path, 'objects');
  const costs: Record<'tar' | 'first' | 'second' | 'collection', Cost[]> = {
    tar: [],
    first: [],
    second: [],
    collection: [],
  };
  for (let round = 0; round < ROUNDS; round++) {
    const plain = freshTree();
    costs.tar.push(
      await measured(async () => {
        execFileSync('tar', ['-C', plain, '-x', '--zstd', '-f', corpus.archive]);
        await syncFileSystem(plain);
      }),
    );
    let [first, second] = ['', ''];
    costs.first.push(await measured(async () => void (first = await fill(corpus, objects))));
    costs.second.push(await measured(async () => void (second = await fill(update, objects))));
    costs.collection.push(await measured(() => collectObjects(objects, Date.now())));
    for (const tree of [plain, first, second, objects]) rmSync(tree, { recursive: true });
    await setImmediate();
  }
  console.log(
    `\n${corpus.files} files, ${Math.round(corpus.bytes / 1e6)} MB, archive ${Math.round(lstatSync(corpus.archive).size / 1e6)} MB; medians of ${ROUNDS} rounds`,
  );
  const tar = costs.tar;
  const line = (name: string, of: readonly Cost[]): void => {
    const ratios = of.map((cost, index) => cost.wallMs / (tar[index]?.wallMs ?? 1));
    row(
      name,
      `${Math.round(median(of, 'wallMs'))} ms, processor ${Math.round(median(of, 'processorMs'))} ms, ratio to tar ${percentile(ratios, 0.5).toFixed(2)} (processor ${(median(of, 'processorMs') / median(tar, 'processorMs')).toFixed(2)})`,
    );
  };
  line('tar -x --zstd', tar);
  line('first version', costs.first);
  line('next version, 1 % changed', costs.second);
  line('collection', costs.collection);
}

try {
  for (const files of [Math.round(FILES / 10), FILES]) await compare(files);
} finally {
  disk.close();
  rmSync(scratch, { recursive: true, force: true });
}
