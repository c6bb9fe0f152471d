/** What a browser or a program sends to a console. */
import { type ConsoleLink, sealConsoleLink } from '@plinth/contracts';
import { randomBytes } from 'node:crypto';
import type { Role } from '../domain/access.js';

export interface CallOptions {
  readonly cookie?: string;
  readonly token?: string;
  readonly body?: unknown;
  readonly origin?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Another copy. */
  readonly at?: { readonly url: string };
}

export interface Reply<T = Record<string, never>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export class ConsoleApi {
  constructor(
    private readonly url: () => string,
    /** Of links. */
    private readonly secret: Buffer,
  ) {}

  call(method: string, path: string, options: CallOptions = {}): Promise<Response> {
    const { cookie, token, body, headers } = options;
    const url = options.at?.url ?? this.url();
    const origin = options.origin ?? (token === undefined ? url : undefined);
    return fetch(`${url}${path}`, {
      method,
      headers: {
        ...(method === 'GET' || origin === undefined ? {} : { origin }),
        ...(cookie === undefined ? {} : { cookie }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  /** Below `/api/v1`, with the answer's body. */
  async ask<T = Record<string, never>>(method: string, path: string, options: CallOptions = {}): Promise<Reply<T>> {
    const response = await this.call(method, `/api/v1${path}`, options);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as T };
  }

  link(user: string, role: Role, tenants: readonly string[] = [], change: Partial<ConsoleLink> = {}): string {
    const until = Date.now() / 1000 + 50;
    return sealConsoleLink({ id: randomBytes(16).toString('hex'), user, role, tenants, until, ...change }, this.secret);
  }

  /** @returns the cookie */
  async signedIn(user: string, role: Role, tenants: readonly string[] = []): Promise<string> {
    const response = await this.call('POST', '/api/v1/session', { body: { link: this.link(user, role, tenants) } });
    const cookie = response.headers.get('set-cookie') ?? '';
    if (!/^plinth-console=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/.test(cookie))
      throw new Error(`${user} was not signed in: ${response.status} ${cookie}`);
    return cookie.split(';')[0] ?? '';
  }
}

/** Events of a stream as they come. */
export async function* events(response: Response): AsyncGenerator<{ id?: string; event: string; data: never }> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = Object.fromEntries(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      ) as Record<string, string>;
      text = text.slice(end + 2);
      if (lines['event'] !== undefined)
        yield { id: lines['id'], event: lines['event'], data: JSON.parse(lines['data'] ?? 'null') as never };
    }
  }
}
