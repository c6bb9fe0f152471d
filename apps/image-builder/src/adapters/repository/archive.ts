/** Version directories as one file, `.tar.zst`, and back. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CAPABILITY_ATTRIBUTE, type Digest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';
import { run, runCaptive } from '../tools/process.js';

/**
 * Hard links are kept as they are: the first name that tar meets, which is the first of the manifest, has the content.
 */
const TAR = ['tar', '--numeric-owner', '--xattrs', `--xattrs-include=${CAPABILITY_ATTRIBUTE}`] as const;

/** @param onProgress bytes of the unpacked archive so far */
export async function packArchive(
  directory: string,
  entries: readonly ManifestEntry[],
  target: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const members = function* (): Generator<string> {
    yield `${VERSION_FILES.mountScript}\0`;
    for (const { path } of entries) yield path === '.' ? `${VERSION_FILES.root}\0` : `${VERSION_FILES.root}/${path}\0`;
  };
  let bytes = 0;
  const counted = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      onProgress((bytes += chunk.length));
      done(null, chunk);
    },
  });
  const argv = [
    ...TAR,
    '--create',
    '--format=pax',
    '--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f',
    '--no-recursion',
    '--directory',
    directory,
    '--null',
    '--verbatim-files-from',
    '--files-from=-',
  ];
  const [packed, compressed] = await Promise.all([
    run(argv, { signal, stdin: members(), stdout: counted }),
    run(['zstd', '-q', '-6', '-T0', '-'], {
      signal,
      stdin: counted,
      stdout: createWriteStream(target, { flags: 'wx', mode: 0o644 }),
    }),
  ]);
  if (packed.exitCode !== 0) throw new Error(`tar ended with ${packed.exitCode}: ${packed.tail}`);
  if (compressed.exitCode !== 0) throw new Error(`zstd ended with ${compressed.exitCode}: ${compressed.tail}`);
}

/** tar compares each member with each name that it is asked for: more names than this, and all are faster. */
const MAX_NAMES = 1_000;

/**
 * Makes `directory` with `mount.sh` and `root/` in it, from an archive of this builder whose digest is checked first.
 *
 * @param paths of files of the manifest: with few of them nothing else is extracted
 */
export async function extractArchive(
  archive: string,
  digest: Digest,
  directory: string,
  signal: AbortSignal,
  paths?: readonly string[],
): Promise<void> {
  if ((await digestOfFile(archive)) !== digest)
    throw new Error(`${archive} does not have the digest that the catalogue holds`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names =
    paths === undefined || paths.length > MAX_NAMES
      ? undefined
      : [VERSION_FILES.mountScript, ...paths.map((path) => `${VERSION_FILES.root}/${path}`)];
  const result = await runCaptive(
    [
      ...TAR,
      '--extract',
      '--zstd',
      '--file',
      archive,
      '--directory',
      directory,
      '--preserve-permissions',
      '--same-owner',
      ...(names ? ['--null', '--verbatim-files-from', '--no-wildcards', '--files-from=-'] : []),
    ],
    { signal, stdin: names?.map((name) => `${name}\0`) },
  );
  if (result.exitCode !== 0) throw new Error(`tar ended with ${result.exitCode}: ${result.tail}`);
}

export async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  const content: Readable = createReadStream(path, { highWaterMark: 1024 * 1024 });
  await pipeline(content, hash);
  return `sha256:${hash.digest('hex')}`;
}
