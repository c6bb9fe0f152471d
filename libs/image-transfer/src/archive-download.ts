/**
 * Downloads the archive of an image version and verifies it: from several sources, continued after a broken connection
 * or a restart.
 */
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { archiveFileName, type Digest, type SignedStatement } from '@plinth/contracts';
import { done, failed, type Outcome } from './domain/failure.js';
import { parseDocument } from './domain/json-document.js';
import { digestOfFile } from './content-digest.js';
import { fileFailure } from '@plinth/image-store';
import { downloadRest, fileUrl, type Transfer, type Validator } from './repository-client.js';
import { hasCode } from '@plinth/host-os';

/** A source that sent less than this before the connection broke is skipped for the next one. */
const WORTH_CONTINUING_BYTES = 256 * 1024;

/**
 * Completes `part` to the signed size and digest. After a broken connection the bytes stay for the next call; wrong
 * bytes are removed.
 * @param onBytes called with the number of bytes from the network
 */
export async function downloadArchive(
  source: string,
  statement: SignedStatement,
  part: string,
  transfer: Transfer,
  onBytes: (count: number) => void,
): Promise<Outcome<void>> {
  const url = fileUrl(source, archiveFileName(statement.name, statement.version));
  const file = { bytes: statement.archiveBytes, digest: statement.archiveDigest, is: 'signed' } as const;
  return downloadFile(url, file, part, transfer, onBytes);
}

/** What a file has to be. */
export interface ExpectedFile {
  readonly bytes: number;
  readonly digest: Digest;
  /** Whose word the digest is: the signer's, or a source's. */
  readonly is: 'signed' | 'promised';
}

/** As {@link downloadArchive}, of any file whose size and digest are known. */
export async function downloadFile(
  url: URL,
  expected: ExpectedFile,
  part: string,
  transfer: Transfer,
  onBytes: (count: number) => void,
): Promise<Outcome<void>> {
  try {
    await mkdir(dirname(part), { recursive: true, mode: 0o700 });
    const complete = await fillPart(url, expected.bytes, part, transfer, onBytes);
    if (!complete.ok) return complete;
    const file = await open(part, 'r');
    const digest = await digestOfFile(file, transfer.signal).finally(() => file.close());
    if (digest === expected.digest) return done(undefined);
    await removePart(part);
    return failed('digest-mismatch', `${url.href} has the digest ${digest}, ${expected.is} is ${expected.digest}`);
  } catch (error) {
    transfer.signal.throwIfAborted();
    return fileFailure(error, 'the download could not be stored');
  }
}

async function fillPart(
  url: URL,
  size: number,
  part: string,
  transfer: Transfer,
  onBytes: (count: number) => void,
): Promise<Outcome<void>> {
  // The file is not opened for appending, because each write has its position.
  const file = await open(part, 'r+').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return open(part, 'w+', 0o600);
    throw error;
  });
  try {
    for (;;) {
      const { size: from } = await file.stat();
      if (from === size) return done(undefined);
      if (from > size) await file.truncate(0);
      let came = 0;
      const outcome = await downloadRest(
        url,
        size,
        {
          file,
          from: from > size ? 0 : from,
          validator: await readValidator(part),
          onValidator: (validator) => writeFile(validatorOf(part), JSON.stringify(validator)),
          onBytes: (count) => {
            came += count;
            onBytes(count);
          },
        },
        transfer,
      );
      // Bytes of a file that is not the signed one can't be continued, from this source or another.
      if (!outcome.ok && outcome.reason === 'wrong-size' && came > 0) await file.truncate(0);
      const cut = !outcome.ok && (outcome.reason === 'repository-unreachable' || outcome.reason === 'download-stalled');
      if (!cut || came < WORTH_CONTINUING_BYTES) return outcome;
    }
  } finally {
    await file.close();
  }
}

/**
 * Stored beside the part: identifies the file of its bytes, so that they are only continued with bytes of the same
 * file.
 */
export function validatorOf(part: string): string {
  return `${part}.json`;
}

async function removePart(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(validatorOf(part), { force: true });
}

async function readValidator(part: string): Promise<Validator> {
  const text = await readFile(validatorOf(part)).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return Buffer.alloc(0);
    throw error;
  });
  // The process died between the two files, or while it wrote this one: the digest decides in the end.
  const value = parseDocument(text) as { etag?: unknown } | null | undefined;
  return { etag: typeof value?.etag === 'string' ? value.etag : undefined };
}
