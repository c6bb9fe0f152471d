/**
 * Extracts an archive to a tree. No name of the archive reaches the file system: each member must be the next one that
 * the manifest names. It uses synchronous file calls, and runs in a thread of its own.
 */
import { spawn } from 'node:child_process';
import { readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ImageManifest } from '@plinth/contracts';
import tar, { type Header } from 'tar-stream';
import { done, failed, type Failure, type Outcome } from '../domain/failure.js';
import { archiveBound, describeMember, expectedMembers, type MemberHeader, memberProblem } from '../domain/members.js';
import { fileFailure } from './file-failure.js';
import { TreeWriter } from './tree-writer.js';

export interface ExtractionJob {
  /** Descriptor, open at offset 0; the caller closes it. */
  readonly archive: number;
  /** An empty directory. */
  readonly directory: string;
  readonly manifest: ImageManifest;
}

/** Largest decompression window, as for `zstd --long=27`. */
const ZSTD_MEMORY = '128MB';
/** RFC 8878, 3.1.1; zstd would accept gzip and others too. */
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** After a failure the directory is incomplete; the caller removes it. */
export async function extractArchive(job: ExtractionJob): Promise<Outcome<void>> {
  if (!beginsWithMagic(job.archive)) return failed('bad-archive', 'the archive is not a zstd file');
  const writer = new TreeWriter(job.directory, job.manifest);
  try {
    writer.start();
    const unpacked = await decompress(job, writer);
    if (unpacked.ok) writer.finish();
    return unpacked;
  } catch (error) {
    return fileFailure(error, 'the tree could not be written');
  }
}

async function decompress(job: ExtractionJob, writer: TreeWriter): Promise<Outcome<void>> {
  const zstd = spawn('zstd', ['-dc', '-q', `--memory=${ZSTD_MEMORY}`], {
    stdio: [job.archive, 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  const { stdout, stderr } = zstd;
  if (!stdout || !stderr) throw new Error('zstd was started without pipes');
  const ended = new Promise<Outcome<void>>((resolve) => {
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
  const unpacked = await readMembers(stdout, job.manifest, writer).catch((error: unknown) => {
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

function readMembers(source: Readable, manifest: ImageManifest, writer: TreeWriter): Promise<Outcome<void>> {
  const members = expectedMembers(manifest);
  const bound = archiveBound(manifest);
  const extract = tar.extract();
  return new Promise((resolve, reject) => {
    let next = 0;
    let bytes = 0;
    let settled = false;
    const end = (settle: () => void): void => {
      if (settled) return;
      settled = true;
      source.destroy();
      extract.destroy(null);
      writer.abandon();
      settle();
    };
    const refuse = (failure: Failure): void => end(() => resolve({ ok: false, ...failure }));
    /** @returns whether to continue */
    const step = (write: () => Failure | undefined): boolean => {
      if (settled) return false;
      try {
        const failure = write();
        if (failure) refuse(failure);
      } catch (error) {
        end(() => reject(error));
      }
      return !settled;
    };
    source.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bound)
        refuse({ reason: 'bad-archive', message: 'the archive unpacks to more than the manifest names' });
      if (!settled && !extract.write(chunk)) source.pause();
    });
    source.on('end', () => settled || extract.end(null));
    source.on('error', (error) => end(() => reject(error)));
    extract.on('drain', () => source.resume());
    extract.on('error', (error) =>
      refuse({ reason: 'bad-archive', message: `the archive is not a sound tar file: ${error.message}` }),
    );
    extract.on('finish', () => {
      const missing = members[next];
      if (missing)
        refuse({ reason: 'manifest-mismatch', message: `the archive ends before ${describeMember(missing)}` });
      else end(() => resolve(done(undefined)));
    });
    extract.on('entry', (header, content, resume) => {
      const member = members[next++];
      const problem = memberProblem(member, asMemberHeader(header), manifest);
      if (problem !== undefined || !member) return refuse({ reason: 'manifest-mismatch', message: problem ?? '' });
      if (!step(() => writer.begin(member))) return;
      content.on('data', (chunk) => step(() => writer.write(chunk as Buffer)));
      content.on('end', () => step(() => writer.end(member)) && resume());
    });
  });
}

/** A hostile header may lack fields that the types of tar-stream promise. */
function asMemberHeader(header: Header): MemberHeader {
  return {
    name: header.name,
    type: header.type as string | null,
    mode: header.mode,
    uid: header.uid,
    gid: header.gid,
    size: header.size,
    mtime: header.mtime.getTime() / 1000,
    linkname: header.linkname as string | null,
    extensions: (header.pax ?? {}) as Readonly<Record<string, string>>,
  };
}
