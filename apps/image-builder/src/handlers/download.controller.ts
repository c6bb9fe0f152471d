/** HTTP download of images in production: GET and HEAD, conditions and single ranges (RFC 9110). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Head, Inject, Param, Req, Res } from '@nestjs/common';
import { ImageDownloads } from '../adapters/image-downloads.js';
import { answerRange } from '../domain/byte-range.js';

interface Params {
  readonly name: string;
  readonly version: string;
  readonly file: string;
}

@Controller('images')
export class DownloadController {
  constructor(@Inject(ImageDownloads) private readonly downloads: ImageDownloads) {}

  @Head(':name/:version/:file')
  head(@Param() params: Params, @Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    return this.send(params, request, response);
  }

  @Get(':name/:version/:file')
  get(@Param() params: Params, @Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    return this.send(params, request, response);
  }

  private async send({ name, version, file }: Params, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const found = await this.downloads.find(name, version, file);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (!found) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"no such file of an image in production"}\n');
      return;
    }
    const { headers } = request;
    const [ifRange, ifNoneMatch, ifMatch] = [headers['if-range'], headers['if-none-match'], headers['if-match']];
    const answer = answerRange({ range: headers.range, ifRange: typeof ifRange === 'string' ? ifRange : undefined, ifNoneMatch, ifMatch }, found.etag, found.bytes);
    response.setHeader('ETag', found.etag).setHeader('Accept-Ranges', 'bytes').setHeader('Cache-Control', 'public, max-age=31536000, immutable');
    if (answer.status === 416) response.setHeader('Content-Range', `bytes */${found.bytes}`);
    if (answer.status !== 200 && answer.status !== 206) {
      response.writeHead(answer.status).end();
      return;
    }
    const { status, start, end } = answer;
    if (status === 206) response.setHeader('Content-Range', `bytes ${start}-${end}/${found.bytes}`);
    response.writeHead(status, { 'content-type': found.type, 'content-length': end - start + 1 });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    await this.downloads.stream(found, start, end, response);
  }
}
