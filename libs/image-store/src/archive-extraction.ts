/**
 * Fills a tree from an archive. No name of the archive reaches the file system: each member must be the next one that
 * the manifest names. It uses synchronous file calls, and runs in a thread of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readSync } from 'node:fs';
import { Socket, type SocketConstructorOpts, type TcpSocketConnectOpts } from 'node:net';
import type { ImageManifest } from '@plinth/contracts';
import { openLargePipe, syncFileSystem } from '@plinth/host-os';
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
const READ_BYTES = 1024 ** 2;
const EARLY_SYNC_BYTES = 64 * 1024 ** 2;
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
  const pipe = openLargePipe();
  const unpacking = new Unpacking(job, filling);
  const unpacked = readPipe(pipe.reading, unpacking);
  let zstd: ChildProcess;
  try {
    zstd = spawn('zstd', ['-dc', '-q', `--memory=${ZSTD_MEMORY}`], {
      stdio: [job.archive, pipe.writing, 'pipe'],
      env: { PATH: process.env['PATH'] },
    });
  } finally {
    // The end of the data is seen when the child has closed the last one.
    pipe.closeWriting();
  }
  const ended = endOf(zstd);
  const outcome = await unpacked.catch((error: unknown) => {
    zstd.kill('SIGKILL');
    throw error;
  });
  await unpacking.earlySyncEnded();
  if (!outcome.ok && !unpacking.isAtEnd) {
    // The rest of its output is not needed, and its end by SIGKILL is no reason for the failure.
    zstd.kill('SIGKILL');
    await ended;
    return outcome;
  }
  // A failed decompressor is the cause of the archive's early end.
  const decompressed = await ended;
  return decompressed.ok ? outcome : decompressed;
}

function endOf(zstd: ChildProcess): Promise<StoreOutcome<void>> {
  return new Promise((resolve) => {
    let errorOutput = '';
    zstd.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errorOutput = (errorOutput + text).slice(-500);
    });
    zstd.on('error', (error) => resolve(failed('io-error', `zstd can't be started: ${error.message}`)));
    zstd.on('close', (code, signal) => {
      if (code === 0) resolve(done(undefined));
      else if (signal) resolve(failed('io-error', `zstd was ended by ${signal}`));
      else resolve(failed('bad-archive', `zstd: ${errorOutput.trim() || `exit code ${code}`}`));
    });
  });
}

function beginsWithMagic(fd: number): boolean {
  const begin = Buffer.alloc(ZSTD_MAGIC.length);
  return readSync(fd, begin, 0, begin.length, 0) === begin.length && begin.equals(ZSTD_MAGIC);
}

/** Reads into one buffer, up to the first failure. Closes the descriptor. */
function readPipe(descriptor: number, unpacking: Unpacking): Promise<StoreOutcome<void>> {
  return new Promise((resolve, reject) => {
    let outcome: StoreOutcome<void> | undefined;
    const attempt = (read: () => StoreFailure | undefined): void => {
      if (outcome) return;
      try {
        const failure = read();
        if (!failure) return;
        outcome = { ok: false, ...failure };
      } catch (error) {
        outcome = done(undefined);
        reject(error);
      }
      source.destroy();
    };
    const options: SocketConstructorOpts & Pick<TcpSocketConnectOpts, 'onread'> = {
      fd: descriptor,
      readable: true,
      writable: false,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (bytes, buffer) => {
          attempt(() => unpacking.take(buffer.subarray(0, bytes) as Buffer));
          return outcome === undefined;
        },
      },
    };
    const source = new Socket(options);
    source.on('end', () => attempt(() => unpacking.finish()));
    source.on('error', reject);
    source.on('close', () => {
      unpacking.abandon();
      resolve(outcome ?? done(undefined));
    });
    source.resume();
  });
}

/** From the bytes of a tar file to a tree. */
class Unpacking {
  isAtEnd = false;
  /** Writes what is there to the disk while the rest is read; the sync at the end has less to do. */
  private earlySync: Promise<void> | undefined;
  /** The kernel reports an error of the disk once: a later sync would not. */
  private syncError: unknown;
  private readonly walk: MemberWalk;
  private readonly tar: TarReader;
  private readonly bound: number;
  private bytes = 0;
  private unsynced = 0;

  constructor(
    private readonly job: ExtractionJob,
    private readonly filling: TreeFilling,
  ) {
    this.walk = new MemberWalk(job.manifest, filling);
    this.tar = new TarReader(this.walk);
    this.bound = archiveBound(job.manifest);
  }

  take(chunk: Buffer): StoreFailure | undefined {
    this.bytes += chunk.length;
    if (this.bytes > this.bound)
      return { reason: 'bad-archive', message: 'the archive unpacks to more than the manifest names' };
    const failure = this.sound(() => (this.tar.push(chunk) ? undefined : this.walk.failure));
    this.syncEarly();
    return failure;
  }

  finish(): StoreFailure | undefined {
    this.isAtEnd = true;
    return this.sound(() => {
      this.tar.finish();
      return this.walk.missing();
    });
  }

  /** @throws what the sync failed with */
  async earlySyncEnded(): Promise<void> {
    await this.earlySync;
    if (this.syncError !== undefined) throw this.syncError;
  }

  abandon(): void {
    this.filling.abandon();
  }

  private sound(read: () => StoreFailure | undefined): StoreFailure | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof TarError)) throw error;
      return { reason: 'bad-archive', message: `the archive is not a sound tar file: ${error.message}` };
    }
  }

  private syncEarly(): void {
    const { writtenBytes } = this.filling.summary;
    if (this.earlySync || writtenBytes - this.unsynced < EARLY_SYNC_BYTES) return;
    this.unsynced = writtenBytes;
    this.earlySync = syncFileSystem(this.job.directory).then(
      () => void (this.earlySync = undefined),
      (error: unknown) => void (this.syncError = error),
    );
  }
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
