/**
 * HTTP(S) client of an image repository: a response of another length than expected, or one that stalls, is refused.
 */
import type { FileHandle } from 'node:fs/promises';
import { type ClientRequest, get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { VERSION_FILES } from '@plinth/contracts';
import { done, failed, type Outcome } from './domain/failure.js';
import type { Pace } from './pace.js';
import { fileFailure } from '@plinth/image-store';
import { codeOf } from '@plinth/host-os';

export interface Transfer {
  /** A transfer with less than `leastBytes` in this time is cancelled. */
  readonly stallMs: number;
  /** Absent: 64 KiB. */
  readonly leastBytes?: number;
  readonly signal: AbortSignal;
  /** Rate of all that this machine receives; absent: as fast as they come. */
  readonly pace?: Pace;
  /** Sent to the repository; redirects are never followed, so it goes nowhere else. */
  readonly token?: string;
}

const LEAST_BYTES = 64 * 1024;

/** Counts received bytes; resolves when the next ones may be read. */
type Progress = (bytes: number) => Promise<void>;

/** URL of a file below the base URL of an image version in a repository. */
export function fileUrl(base: string, file: string): URL {
  return new URL(encodeURIComponent(file), base.endsWith('/') ? base : `${base}/`);
}

/**
 * Reads a small file whole.
 * @param maxBytes longer files are refused
 * @param exactBytes when known, any other length is refused
 */
export async function readDocument(
  url: URL,
  maxBytes: number,
  exactBytes: number | undefined,
  transfer: Transfer,
): Promise<Outcome<Buffer>> {
  return exchange(url, {}, transfer, (response, progress) =>
    receiveDocument(url, response, maxBytes, exactBytes, progress),
  );
}

async function receiveDocument(
  url: URL,
  response: IncomingMessage,
  maxBytes: number,
  exactBytes: number | undefined,
  progress: Progress,
): Promise<Outcome<Buffer>> {
  if (response.statusCode !== 200) return refusal(url, response);
  const announced = lengthOf(response);
  const limit = exactBytes ?? maxBytes;
  if (announced !== undefined && (announced > limit || (exactBytes !== undefined && announced !== exactBytes))) {
    return failed(
      'wrong-size',
      `${url.href} is ${announced} bytes, ${exactBytes === undefined ? 'at most ' : ''}${limit} were expected`,
    );
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limit) return failed('wrong-size', `${url.href} is longer than ${limit} bytes`);
    chunks.push(chunk);
    await progress(chunk.length);
  }
  if (exactBytes !== undefined && bytes !== exactBytes)
    return failed('wrong-size', `${url.href} is ${bytes} bytes, ${exactBytes} were expected`);
  return done(Buffer.concat(chunks));
}

/** Whether a machine answers at all, also that it does not have the version. @param source base URL of one */
export async function isAnswering(source: string, transfer: Transfer): Promise<boolean> {
  const asked = await exchange(fileUrl(source, VERSION_FILES.statement), {}, transfer, (response) =>
    Promise.resolve((response.statusCode ?? 500) < 500 ? done(undefined) : refusal(new URL(source), response)),
  );
  return asked.ok;
}

/** As {@link readDocument}. @returns `making` when the repository answers that it makes the file, and to ask again */
export async function readUnlessMaking(
  url: URL,
  maxBytes: number,
  transfer: Transfer,
): Promise<Outcome<Buffer | 'making'>> {
  return exchange<Buffer | 'making'>(url, {}, transfer, (response, progress) =>
    response.statusCode === 503 && response.headers['retry-after'] !== undefined
      ? Promise.resolve(done('making'))
      : receiveDocument(url, response, maxBytes, undefined, progress),
  );
}

/**
 * Fetches a file whose size only the source knows, from its beginning.
 * @param file an empty one
 * @param mostBytes longer ones are refused
 * @returns `busy` when the source asks to come again
 */
export async function downloadUpTo(
  url: URL,
  mostBytes: number,
  file: FileHandle,
  transfer: Transfer,
  onBytes: (count: number) => void,
): Promise<Outcome<void> | 'busy'> {
  const outcome = await exchange<'busy' | 'whole'>(url, {}, transfer, async (response, progress) => {
    if (response.statusCode === 503 && response.headers['retry-after'] !== undefined) return done('busy');
    if (response.statusCode !== 200) return refusal(url, response);
    const announced = lengthOf(response);
    if (announced === undefined || announced > mostBytes)
      return failed('wrong-size', `${url.href} is ${announced ?? 'an unknown number of'} bytes, at most ${mostBytes}`);
    let position = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (position + chunk.length > announced) return failed('wrong-size', `${url.href} is longer than announced`);
      const fault = await ofTheFile(() => writeAll(file, chunk, position));
      if (fault) return fault;
      position += chunk.length;
      onBytes(chunk.length);
      await progress(chunk.length);
    }
    return position === announced
      ? done('whole')
      : failed('wrong-size', `${url.href} ended after ${position} of ${announced} bytes`);
  });
  if (!outcome.ok) return outcome;
  return outcome.value === 'busy' ? 'busy' : done(undefined);
}

/** State of a download, stored beside the bytes so that it survives restarts. */
export interface Validator {
  /** Strong entity tag (RFC 9110, 8.8.3) of the file that the bytes belong to. */
  readonly etag: string | undefined;
}

export interface PartialDownload {
  readonly file: FileHandle;
  /** Bytes that are there already. */
  readonly from: number;
  readonly validator: Validator;
  /** Called before the first byte of a download that begins again. */
  readonly onValidator: (validator: Validator) => Promise<void>;
  readonly onBytes: (count: number) => void;
}

/**
 * Fetches the rest of a file of known size into `file`, from the beginning when the server will not continue (RFC 9110,
 * 14). The received bytes are in the file in every case.
 */
export async function downloadRest(
  url: URL,
  size: number,
  partial: PartialDownload,
  transfer: Transfer,
): Promise<Outcome<void>> {
  const { etag } = partial.validator;
  const headers =
    partial.from > 0 ? { range: `bytes=${partial.from}-`, ...(etag === undefined ? {} : { 'if-range': etag }) } : {};
  return exchange(url, headers, transfer, async (response, progress) => {
    const continued = response.statusCode === 206 && partial.from > 0;
    if (!continued && response.statusCode !== 200) return refusal(url, response);
    let position = continued ? partial.from : 0;
    const expectedRange = `bytes ${position}-${size - 1}/${size}`;
    if (continued && response.headers['content-range'] !== expectedRange) {
      return failed(
        'wrong-size',
        `${url.href} answered with ${response.headers['content-range'] ?? 'no content-range'}, ${expectedRange} was expected`,
      );
    }
    const announced = lengthOf(response);
    if (announced !== undefined && announced !== size - position) {
      return failed('wrong-size', `${url.href} is ${announced + position} bytes, ${size} were expected`);
    }
    if (!continued) {
      const fault = await ofTheFile(async () => {
        await partial.file.truncate(0);
        await partial.onValidator({ etag: strongTag(response) });
      });
      if (fault) return fault;
    }
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (position + chunk.length > size) return failed('wrong-size', `${url.href} is longer than ${size} bytes`);
      const fault = await ofTheFile(() => writeAll(partial.file, chunk, position));
      if (fault) return fault;
      position += chunk.length;
      partial.onBytes(chunk.length);
      await progress(chunk.length);
      if (position === size) return done(undefined);
    }
    return failed('wrong-size', `${url.href} ended after ${position} of ${size} bytes`);
  });
}

/** One request. Errors of the connection become outcomes here; the signal's reason is thrown. */
async function exchange<T>(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { stallMs, leastBytes = LEAST_BYTES, signal, token, pace }: Transfer,
  receive: (response: IncomingMessage, progress: Progress) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  signal.throwIfAborted();
  let request: ClientRequest | undefined;
  let stalled = false;
  let recent = 0;
  /** The limit of this machine is what holds the transfer up. */
  let isHeld = false;
  const watch = setInterval(() => {
    if (recent >= leastBytes || isHeld) recent = 0;
    else {
      stalled = true;
      request?.destroy(new Error('stalled'));
    }
  }, stallMs);
  const abort = (): void => void request?.destroy(new Error('aborted'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsGet : httpGet;
      // No agent: a cancelled connection must not be used again. identity: lengths are those of the file.
      request = send(
        url,
        {
          agent: false,
          headers: {
            ...headers,
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            'accept-encoding': 'identity',
          },
        },
        resolve,
      ).on('error', reject);
    });
    // Errors of the response also reach the iterator in `receive`; this keeps late ones from being unhandled.
    response.on('error', () => undefined);
    const encoding = response.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity')
      return failed('repository-refused', `${url.href} came with content-encoding ${encoding}`);
    return await receive(response, async (bytes) => {
      recent += bytes;
      if (!pace) return;
      isHeld = true;
      const waited = await pace.take(bytes, signal);
      isHeld = false;
      // What was sent while it was held waits in the connection.
      if (waited) recent = Math.max(recent, leastBytes);
    });
  } catch (error) {
    signal.throwIfAborted();
    if (stalled) return failed('download-stalled', `${url.href} sent less than ${leastBytes} bytes in ${stallMs} ms`);
    if (isOfTheConnection(error)) return failed('repository-unreachable', `${url.href}: ${error.message}`);
    throw error;
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', abort);
    request?.destroy();
  }
}

function refusal(url: URL, response: IncomingMessage): Outcome<never> {
  const status = response.statusCode ?? 0;
  // Redirects are not followed, because they could lead anywhere.
  const later = status >= 500 || status === 429 || status === 408;
  return failed(later ? 'repository-unreachable' : 'repository-refused', `${url.href} answered with status ${status}`);
}

function lengthOf(response: IncomingMessage): number | undefined {
  const text = response.headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function strongTag(response: IncomingMessage): string | undefined {
  const tag = response.headers.etag;
  return tag !== undefined && /^"[\x21\x23-\x7e]{1,200}"$/.test(tag) ? tag : undefined;
}

async function writeAll(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let offset = 0; offset < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.length - offset, position + offset);
    offset += bytesWritten;
  }
}

/** Separates errors of the disk from those of the connection: both have codes. */
async function ofTheFile(work: () => Promise<void>): Promise<Outcome<never> | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return fileFailure(error, 'the download could not be written');
  }
}

/** ECONNRESET, ENOTFOUND, HPE_…, ERR_TLS_…: all of these mean that the connection failed. */
function isOfTheConnection(error: unknown): error is Error {
  return codeOf(error) !== undefined;
}
