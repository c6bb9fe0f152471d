/**
 * A proxy between the image repository and the distributors that damages its responses as networks and broken servers
 * do.
 */
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const LIES = ['stalls', 'truncates', 'sends a wrong length', 'serves a wrong byte', 'refuses'] as const;
export type Lie = (typeof LIES)[number];

/** How much of a body passes before it stalls or ends. */
const LET_THROUGH_BYTES = 4_096;

export class RepositoryProxy {
  lie: Lie | undefined;
  /** Number of damaged responses. */
  lies = 0;
  private readonly server: Server;

  private constructor(private readonly target: () => string) {
    this.server = createServer((asked, answer) => this.pass(asked, answer));
  }

  /** @param target base address of the repository, called for every request */
  static async open(target: () => string): Promise<RepositoryProxy> {
    const proxy = new RepositoryProxy(target);
    await new Promise<void>((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private pass(asked: IncomingMessage, answer: ServerResponse): void {
    const upstream = request(
      `${this.target()}${asked.url ?? '/'}`,
      { method: asked.method, headers: { ...asked.headers, host: new URL(this.target()).host } },
      (got) => this.answer(got, answer),
    );
    // The repository is not reachable, and so neither is this proxy.
    upstream.on('error', () => answer.destroy());
    asked.pipe(upstream);
  }

  private answer(got: IncomingMessage, answer: ServerResponse): void {
    const { lie } = this;
    if (lie !== undefined) this.lies++;
    const length = Number(got.headers['content-length'] ?? 0);
    got.on('error', () => answer.destroy());
    if (lie === 'refuses') {
      got.resume();
      answer.writeHead(503).end();
      return;
    }
    answer.writeHead(
      got.statusCode ?? 502,
      lie === 'sends a wrong length' ? { ...got.headers, 'content-length': String(length + 1_000) } : got.headers,
    );
    if (lie === undefined) {
      got.pipe(answer);
      return;
    }
    let sent = 0;
    got.on('data', (chunk: Buffer) => {
      const allowed =
        lie === 'stalls' || lie === 'truncates'
          ? Math.min(chunk.length, LET_THROUGH_BYTES - sent, Math.floor(length / 2) - sent)
          : chunk.length;
      const part = Buffer.from(chunk.subarray(0, Math.max(0, allowed)));
      if (lie === 'serves a wrong byte' && sent === 0 && part.length > 0)
        part[part.length - 1] = (part.at(-1) ?? 0) ^ 1;
      sent += part.length;
      if (part.length > 0) answer.write(part);
    });
    got.on('end', () => {
      if (lie === 'truncates') answer.destroy();
      else if (lie !== 'stalls') answer.end();
    });
  }
}
