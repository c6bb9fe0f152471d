/** Sends files that never change over HTTP: conditions and single ranges (RFC 9110), for clients with the token (RFC 6750). */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { hasCode } from '@plinth/host-os';
import { answerRange } from '../domain/byte-range.js';
import type { Pace } from '../pace.js';

export interface ServedFile {
  readonly path: string;
  readonly bytes: number;
  /** Strong: a digest, in quotes. */
  readonly etag: string;
  readonly type: string;
}

/**
 * Answers what is refused whatever it asks for.
 * @param tokens each of them is accepted
 * @returns whether it is answered
 */
export function refuseForeign(request: IncomingMessage, response: ServerResponse, tokens: readonly string[]): boolean {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  if (!bearsToken(request.headers.authorization, tokens)) {
    response.setHeader('WWW-Authenticate', 'Bearer');
    refuse(response, 401, 'a token is needed');
    return true;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'only GET and HEAD are allowed');
    return true;
  }
  return false;
}

export function refuse(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify({ error })}\n`);
}

/** @param seconds after which the client is to ask again */
export function askLater(response: ServerResponse, seconds: number, error: string): void {
  response.setHeader('Retry-After', String(seconds));
  refuse(response, 503, error);
}

/**
 * A receiver that disconnects ends it.
 * @param pace absent: as fast as the receiver takes it
 * @throws what reading the file throws
 */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: ServedFile,
  pace?: Pace,
): Promise<void> {
  const { headers } = request;
  const [ifRange, ifNoneMatch, ifMatch] = [headers['if-range'], headers['if-none-match'], headers['if-match']];
  const range = answerRange(
    { range: headers.range, ifRange: typeof ifRange === 'string' ? ifRange : undefined, ifNoneMatch, ifMatch },
    file.etag,
    file.bytes,
  );
  response
    .setHeader('ETag', file.etag)
    .setHeader('Accept-Ranges', 'bytes')
    .setHeader('Cache-Control', 'private, max-age=31536000, immutable');
  if (range.status === 416) response.setHeader('Content-Range', `bytes */${file.bytes}`);
  if (range.status !== 200 && range.status !== 206) {
    response.writeHead(range.status).end();
    return;
  }
  const { status, start, end } = range;
  if (status === 206) response.setHeader('Content-Range', `bytes ${start}-${end}/${file.bytes}`);
  response.writeHead(status, { 'content-type': file.type, 'content-length': end - start + 1 });
  if (request.method === 'HEAD' || end < start) {
    response.end();
    return;
  }
  try {
    const contents = createReadStream(file.path, { start, end, highWaterMark: pace ? PACED_BYTES : 256 * 1024 });
    if (pace) await pipeline(contents, (chunks: AsyncIterable<Buffer>) => paced(chunks, pace), response);
    else await pipeline(contents, response);
  } catch (error) {
    if (!hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE')) throw error;
  }
}

/** Read at once where a rate is kept: receivers get small parts in turn. */
const PACED_BYTES = 32 * 1024;

async function* paced(chunks: AsyncIterable<Buffer>, pace: Pace): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await pace.take(chunk.length);
    yield chunk;
  }
}

/** Compares digests: the time it takes does not depend on the token. */
function bearsToken(authorization: string | undefined, tokens: readonly string[]): boolean {
  const given = /^Bearer +(\S{1,512})$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return tokens.reduce((found, token) => timingSafeEqual(digest(token), digest(given)) || found, false);
}
