/** The page itself, which holds nothing that is secret: anybody who reaches the console gets it. */
import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { IncomingMessage } from '../adapters/web.js';
import { PageFiles } from '../adapters/page-files.js';
import { ApiProblem, type Response } from './http.js';

@Controller()
export class PageController {
  constructor(@Inject(PageFiles) private readonly files: PageFiles) {}

  @Get('api/*rest')
  unknown(): never {
    throw new ApiProblem('not-found', 'the API has no such path; see docs/openapi.yaml');
  }

  @Get([
    '',
    'containers',
    'containers/:id',
    'fleet',
    'rollouts',
    'rollouts/:id',
    'images',
    'events',
    'access',
    'account',
    'sign-in',
    'sign-in/oidc',
  ])
  page(@Req() request: IncomingMessage, @Res() response: Response): void {
    this.send('index.html', request, response);
  }

  @Get('console.js')
  script(@Req() request: IncomingMessage, @Res() response: Response): void {
    this.send('console.js', request, response);
  }

  @Get('console.css')
  style(@Req() request: IncomingMessage, @Res() response: Response): void {
    this.send('console.css', request, response);
  }

  @Get('icon.svg')
  icon(@Req() request: IncomingMessage, @Res() response: Response): void {
    this.send('icon.svg', request, response);
  }

  private send(name: string, request: IncomingMessage, response: Response): void {
    const file = this.files.get(name);
    response.setHeader('content-type', file.type);
    response.setHeader('cache-control', 'no-cache');
    response.setHeader('etag', file.tag);
    response.setHeader('vary', 'accept-encoding');
    if (request.headers['if-none-match'] === file.tag) {
      response.statusCode = 304;
      response.end();
      return;
    }
    const packed = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
    if (packed) response.setHeader('content-encoding', 'gzip');
    response.end(packed ? file.packed : file.bytes);
  }
}
