/**
 * Fills a tree from an archive. No name of the archive reaches the file system: each member must be the next one that
 * the manifest names. It uses synchronous file calls, and runs in a thread of its own.
 */
import { spawn } from 'node:child_process';
import { readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ImageManifest } from '@plinth/contracts';
import { syncFileSystem } from '@plinth/host-os';
import { archiveBound, describeMember, expectedMembers, memberProblem } from './archive-members.js';
import { fileFailure } from './file-failure.js';
import { ObjectStore } from './object-store.js';
import { done, failed, type StoreFailure, type StoreOutcome } from './outcome.js';
import { TarError, type TarMembers, TarReader } from './tar-reader.js';
import { type FillSummary, TreeFilling } from './tree-filling.js';

export interface ExtractionJob {
  /** Descriptor, open at offset 0; the caller closes it. */
  readonly archive: number;
  /** An empty directory. */
  readonly directory: string;
  readonly manifest: ImageManifest;
  /** Directory of the objects, on the same file system; without it the tree shares nothing. */
  readonly objects?: string;
}

/** Largest decompression window, as for `zstd --long=27`. */
const ZSTD_MEMORY = '128MB';
/** RFC 8878, 3.1.1; zstd would accept gzip and others too. */
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * The order survives a power cut: contents on the disk, then the names of new objects. The caller syncs once more before
 * it shows the tree. After a failure the directory is incomplete, and the caller removes it.
 */
export async function extractArchive(job: ExtractionJob): Promise<StoreOutcome<FillSummary>> {
  if (!beginsWithMagic(job.archive)) return failed('bad-archive', 'the archive is not a zstd file');
  const objects = job.objects === undefined ? undefined : new ObjectStore(job.objects);
  const filling = new TreeFilling(job.directory, job.manifest, objects);
  try {
    filling.start();
    const unpacked = await decompress(job, filling);
    if (!unpacked.ok) return unpacked;
    if (objects && filling.summary.writtenFiles > 0) await syncFileSystem(job.directory);
    filling.makeObjects();
    filling.finish();
    return done(filling.summary);
  } catch (error) {
    return fileFailure(error, 'the tree could not be written');
  }
}

async function decompress(job: ExtractionJob, filling: TreeFilling): Promise<StoreOutcome<void>> {
  const zstd = spawn('zstd', ['-dc', '-q', `--memory=${ZSTD_MEMORY}`], {
    stdio: [job.archive, 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  const { stdout, stderr } = zstd;
  if (!stdout || !stderr) throw new Error('zstd was started without pipes');
  const ended = new Promise<StoreOutcome<void>>((resolve) => {
    let errorOutput = '';
    stderr.setEncoding('utf8').on('data', (text: string) => {
      errorOutput = (errorOutput + text).slice(-500);
    });
    // zstd could not be started: the reader of its output gets the error too.
    zstd.on('error', (error) => {
      stdout.destroy(error);
      resolve(failed('io-error', `zstd can't be started: ${error.message}`));
    });
    zstd.on('close', (code, signal) => {
      if (code === 0) resolve(done(undefined));
      else if (signal) resolve(failed('io-error', `zstd was ended by ${signal}`));
      else resolve(failed('bad-archive', `zstd: ${errorOutput.trim() || `exit code ${code}`}`));
    });
  });
  const unpacked = await readMembers(stdout, job.manifest, filling).catch((error: unknown) => {
    zstd.kill('SIGKILL');
    throw error;
  });
  if (!unpacked.ok && !stdout.readableEnded) {
    // The rest of its output is not needed, and its end by SIGKILL is no reason for the failure.
    zstd.kill('SIGKILL');
    await ended;
    return unpacked;
  }
  // A failed decompressor is the cause of the archive's early end.
  const decompressed = await ended;
  return decompressed.ok ? unpacked : decompressed;
}

function beginsWithMagic(fd: number): boolean {
  const begin = Buffer.alloc(ZSTD_MAGIC.length);
  return readSync(fd, begin, 0, begin.length, 0) === begin.length && begin.equals(ZSTD_MAGIC);
}

function readMembers(source: Readable, manifest: ImageManifest, filling: TreeFilling): Promise<StoreOutcome<void>> {
  const bound = archiveBound(manifest);
  const walk = new MemberWalk(manifest, filling);
  const tar = new TarReader(walk);
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const end = (settle: () => void): void => {
      source.off('data', take);
      source.off('end', finish);
      // What arrives later is of no interest.
      source.on('error', () => undefined);
      filling.abandon();
      settle();
    };
    const refuse = (failure: StoreFailure): void => end(() => resolve({ ok: false, ...failure }));
    const guarded = (read: () => StoreFailure | undefined): StoreFailure | undefined => {
      try {
        return read();
      } catch (error) {
        if (error instanceof TarError)
          return { reason: 'bad-archive', message: `the archive is not a sound tar file: ${error.message}` };
        end(() => reject(error));
        return undefined;
      }
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      const failure =
        bytes > bound
          ? { reason: 'bad-archive' as const, message: 'the archive unpacks to more than the manifest names' }
          : guarded(() => (tar.push(chunk) ? undefined : walk.failure));
      if (!failure) return;
      refuse(failure);
      source.destroy();
    };
    const finish = (): void => {
      const failure = guarded(() => {
        tar.finish();
        return walk.missing();
      });
      if (failure) refuse(failure);
      else end(() => resolve(done(undefined)));
    };
    source.on('data', take);
    source.on('end', finish);
    source.on('error', (error) => end(() => reject(error)));
  });
}

/** Compares each member with the manifest's, and has it written. */
class MemberWalk implements TarMembers {
  failure: StoreFailure | undefined;
  private readonly members: ReturnType<typeof expectedMembers>;
  private next = 0;

  constructor(
    private readonly manifest: ImageManifest,
    private readonly filling: TreeFilling,
  ) {
    this.members = expectedMembers(manifest);
  }

  begin(header: Parameters<TarMembers['begin']>[0]): boolean {
    const member = this.members[this.next];
    const problem = memberProblem(member, header, this.manifest);
    if (problem !== undefined || !member) this.failure = { reason: 'manifest-mismatch', message: problem ?? '' };
    else this.filling.begin(member);
    return this.failure === undefined;
  }

  content(bytes: Buffer): boolean {
    this.filling.write(bytes);
    return true;
  }

  end(): boolean {
    const member = this.members[this.next++];
    this.failure = member && this.filling.end(member);
    return this.failure === undefined;
  }

  /** The first member that the archive did not have. */
  missing(): StoreFailure | undefined {
    const member = this.members[this.next];
    return member && { reason: 'manifest-mismatch', message: `the archive ends before ${describeMember(member)}` };
  }
}
