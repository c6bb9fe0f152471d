/** An image repository whose responses a test defines. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { archiveFileName } from '@plinth/contracts';
import type { TestImage } from './image-fixture.js';

export type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** A correct response with entity tag, ranges and If-Range. */
export const correctAnswer: Answer = (request, response, body) => {
  const etag = `"${body.length}-${body.subarray(-16).toString('hex')}"`;
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-range'];
  if (range && (condition === undefined || condition === etag)) {
    const from = Number(range[1]);
    response.writeHead(206, {
      etag,
      'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
      'content-length': body.length - from,
    });
    response.end(body.subarray(from));
    return;
  }
  response.writeHead(200, { etag, 'content-length': body.length });
  response.end(body);
};

export class HostileRepository {
  readonly requests: { path: string; range: string | undefined; ifRange: string | undefined; status: number }[] = [];
  private readonly files = new Map<string, { body: Buffer; answer: Answer }>();
  private server: Server | undefined;

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      const path = request.url ?? '';
      const file = this.files.get(path);
      const { range, 'if-range': ifRange } = request.headers;
      response.on('close', () =>
        this.requests.push({ path, range, ifRange: ifRange as string | undefined, status: response.statusCode }),
      );
      if (file) file.answer(request, response, file.body);
      else response.writeHead(404).end();
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    if (!this.server) throw new Error('not started');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** @returns the base URL of the version */
  put(
    image: TestImage,
    answers: { archive?: Answer; manifest?: Answer; statement?: Answer } = {},
    folder = '/images/x',
  ): string {
    const { name, version } = image.statement;
    this.files.set(`${folder}/signature.json`, {
      body: Buffer.from(JSON.stringify(image.statement)),
      answer: answers.statement ?? correctAnswer,
    });
    this.files.set(`${folder}/manifest.json`, { body: image.manifestBytes, answer: answers.manifest ?? correctAnswer });
    this.files.set(`${folder}/${archiveFileName(name, version)}`, {
      body: image.archive,
      answer: answers.archive ?? correctAnswer,
    });
    return `${this.url}${folder}`;
  }

  putFile(path: string, body: Buffer, answer = correctAnswer): void {
    this.files.set(path, { body, answer });
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
