/** An OpenID provider on loopback, with the person at the keyboard signed in as soon as it asks who it is. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

export const CLIENT = { id: 'plinth', secret: 'a secret of 32 characters or more' } as const;

export interface ProviderPerson {
  readonly sub: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

export class OidcServer {
  /** Who signs in next. */
  person: ProviderPerson = { sub: 'nobody', claims: {} };
  /** What it says in ID tokens instead, and with which signature. */
  forged: { readonly claims?: object; readonly header?: object; readonly key?: KeyObject } | undefined;
  private readonly key = newKey();
  private server: Server | undefined;
  port = 0;

  /** The address stays for {@link start}. */
  async reserve(): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port: this.port } = server.address() as AddressInfo);
    await new Promise((resolve) => server.close(resolve));
  }

  /** Of another site than 127.0.0.1, where consoles are. */
  get issuer(): string {
    return `http://localhost:${this.port}`;
  }

  /** @param redirects of the client */
  async start(redirects: readonly string[]): Promise<void> {
    const provider = this.provider(redirects);
    const answer = provider.callback();
    this.server = createServer((request, response) => {
      if (!request.url?.startsWith('/interaction/')) return void answer(request, response);
      const login = { login: { accountId: this.person.sub } };
      return void provider.interactionFinished(request, response, login);
    });
    const { server, port } = this;
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  private provider(redirects: readonly string[]): Provider {
    const people = new Map<string, ProviderPerson>();
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: CLIENT.id,
          client_secret: CLIENT.secret,
          redirect_uris: [...redirects],
          post_logout_redirect_uris: redirects.map((address) => new URL('/sign-in', address).href),
        },
      ],
      scopes: ['openid', 'profile', 'email', 'groups'],
      claims: { profile: ['preferred_username'], email: ['email'], groups: ['groups'] },
      jwks: { keys: [{ ...this.key.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }] },
      pkce: { required: () => true },
      cookies: { keys: ['of a test'] },
      features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
      ttl: { IdToken: 600, Interaction: 600, Session: 600, Grant: 600, AccessToken: 600 },
      interactions: { url: (_, { uid }) => `/interaction/${uid}` },
      findAccount: (_, sub) => {
        if (sub === this.person.sub) people.set(sub, this.person);
        return { accountId: sub, claims: () => ({ sub, ...people.get(sub)?.claims }) };
      },
      loadExistingGrant: async ({ oidc }) => {
        const grant = new provider.Grant({ clientId: CLIENT.id, accountId: oidc.session?.accountId });
        grant.addOIDCScope('openid profile email groups');
        await grant.save();
        return grant;
      },
    });
    provider.use(async (context, next) => {
      await next();
      const { body } = context as { body?: { id_token?: string } };
      if (context.path === '/token' && body?.id_token) context.body = { ...body, id_token: this.token(body.id_token) };
    });
    return provider;
  }

  private token(real: string): string {
    if (!this.forged) return real;
    const { claims, header, key = this.key } = this.forged;
    const [head = '', text = ''] = real.split('.');
    const changed = (part: string, change: object | undefined): string => {
      const value = JSON.parse(Buffer.from(part, 'base64url').toString()) as object;
      return Buffer.from(JSON.stringify({ ...value, ...change })).toString('base64url');
    };
    const signed = `${changed(head, header)}.${changed(text, claims)}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }
}

export function newKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
}
