/** Sign-in by a real OpenID provider: who gets in with which rights, what is refused, and a provider that is away. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '@plinth/service-kit';
import {
  refusedStart,
  scratchDirectory,
  ServiceProcess,
  startNats,
  startPostgres,
  type TestServer,
} from '@plinth/testkit';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Client } from 'pg';
import { chromium } from 'playwright-core';
import { oidcSettings } from './adapters/oidc-settings.js';
import { ConsoleConfig } from './config.js';
import { BrowserJar } from './testing/browser-jar.js';
import { chromiumPath } from './testing/chromium.js';
import { ConsoleApi, type Reply } from './testing/console-api.js';
import { picture, violations } from './testing/looks.js';
import { CLIENT, newKey, OidcServer } from './testing/oidc-provider.js';

const scratch = scratchDirectory();
const linkFile = join(scratch.path, 'link-secret');
const secretFile = join(scratch.path, 'client-secret');
const linkSecret = randomBytes(32);
const provider = new OidcServer();
const api = new ConsoleApi(() => url, linkSecret);
let url = '';
let nats: TestServer;
let postgres: TestServer;
let service: ServiceProcess;
let other: ServiceProcess;
let database: Client;

const PATIENCE_MS = 60_000;
const GROUPS = 'ops=operator,team-acme=developer:acme,team-zeta=developer:zeta';
const environment = (copy: string): Record<string, string> => ({
  NATS_URL: nats.url,
  DATABASE_URL: postgres.url,
  PLINTH_SERVICE_ID: `console-${copy}`,
  PLINTH_CONSOLE: copy,
  PLINTH_CONSOLE_URL: url,
  PLINTH_CONSOLE_LINK_FILE: linkFile,
  PLINTH_CONSOLE_OIDC_ISSUER: provider.issuer,
  PLINTH_CONSOLE_OIDC_CLIENT_ID: CLIENT.id,
  PLINTH_CONSOLE_OIDC_SECRET_FILE: secretFile,
  PLINTH_CONSOLE_OIDC_SCOPES: 'openid profile email groups',
  PLINTH_CONSOLE_OIDC_NAME: 'Acme ID',
  PLINTH_CONSOLE_OIDC_GROUPS: GROUPS,
});

beforeAll(async () => {
  writeFileSync(linkFile, linkSecret, { mode: 0o600 });
  writeFileSync(secretFile, `${CLIENT.secret}\n`, { mode: 0o600 });
  const place = new OidcServer();
  await Promise.all([provider.reserve(), place.reserve()]);
  url = `http://127.0.0.1:${place.port}`;
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  service = await ServiceProcess.start('console', {
    ...environment('a'),
    PLINTH_HTTP_PORT: new URL(url).port,
  });
  other = await ServiceProcess.start('console', environment('b'));
  database = new Client({ connectionString: postgres.url });
  await database.connect();
});
afterAll(async () => {
  await database?.end();
  await Promise.all([service?.end(), other?.end(), provider.stop()]);
  await Promise.all([nats?.stop(), postgres?.stop()]);
  scratch.stop();
});

interface Ways {
  readonly provider: { readonly name: string; readonly available: boolean; readonly canSignOut: boolean };
}
interface SignedIn {
  readonly name?: string;
  readonly role?: string;
  readonly tenants?: readonly string[];
  readonly returnTo?: string;
  readonly reason?: string;
  readonly detail?: string;
}

/** @returns where the provider is asked */
async function begun(browser: BrowserJar, returnTo = '/'): Promise<URL> {
  const at = `${url}/api/v1/session/oidc?return=${encodeURIComponent(returnTo)}`;
  const response = await fetch(at, { redirect: 'manual' });
  expect(response.status).toBe(303);
  expect(response.headers.get('set-cookie')).toMatch(
    /^plinth-console-oidc=[\w-]{100,2000}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=600$/,
  );
  browser.keep(at, response);
  return new URL(response.headers.get('location') ?? '');
}

/** @returns the query with which the provider sends the browser back */
async function asked(browser: BrowserJar, address: URL): Promise<URLSearchParams> {
  const back = await browser.follow(address.href, `${url}/sign-in`);
  expect(new URL(back).pathname).toBe('/sign-in/oidc');
  return new URL(back).searchParams;
}

async function ended(browser: BrowserJar, query: URLSearchParams): Promise<Reply<SignedIn>> {
  const response = await api.call('POST', '/api/v1/session/oidc', {
    cookie: browser.cookieFor(url),
    body: { query: `?${query.toString()}` },
  });
  browser.keep(url, response);
  return { status: response.status, headers: response.headers, body: (await response.json()) as SignedIn };
}

async function signIn(sub: string, claims: object, browser = new BrowserJar()): Promise<Reply<SignedIn>> {
  provider.person = { sub, claims: { ...claims } };
  return ended(browser, await asked(browser, await begun(browser)));
}

const me = (browser: BrowserJar): Promise<Reply<SignedIn>> =>
  api.ask<SignedIn>('GET', '/session', { cookie: browser.cookieFor(url) });

async function records(actor: string): Promise<unknown[]> {
  const { rows } = await database.query(
    "SELECT outcome, reason FROM console.console_sign_in WHERE method = 'oidc' AND actor = $1 ORDER BY id",
    [actor],
  );
  return rows;
}

/** To the other copy, as a proxy sends it there: with the address that browsers know. */
function atOther(path: string, body: object, cookie: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host: new URL(url).host, origin: url, cookie, 'content-type': 'application/json' };
    const sent = httpRequest(`${other.url}${path}`, { method: 'POST', headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(body));
  });
}

describe('the configuration', () => {
  it('that is not whole refuses the start and names what to set', async () => {
    const whole = environment('c');
    const start = (change: Record<string, string>): void =>
      void oidcSettings(loadConfig(ConsoleConfig, { ...whole, ...change }));
    expect(() => start({})).not.toThrow();
    expect(() => start({ PLINTH_CONSOLE_OIDC_CLIENT_ID: '', PLINTH_CONSOLE_URL: '' })).toThrow(
      /OIDC_CLIENT_ID must be set[\s\S]*PLINTH_CONSOLE_URL must be set/,
    );
    expect(() => start({ PLINTH_CONSOLE_OIDC_ISSUER: '' })).toThrow(/OIDC_ISSUER must be set/);
    expect(() => start({ PLINTH_CONSOLE_OIDC_ISSUER: 'http://id.example.org' })).toThrow(/must be https/);
    expect(() => start({ PLINTH_CONSOLE_OIDC_GROUPS: '' })).toThrow(/OIDC_GROUPS must map/);
    expect(() => start({ PLINTH_CONSOLE_OIDC_GROUPS: 'ops=root' })).toThrow(/OIDC_GROUPS: "root": a role is/);
    expect(() => start({ PLINTH_CONSOLE_OIDC_SCOPES: 'profile' })).toThrow(/openid among them/);
    const open = join(scratch.path, 'open-secret');
    writeFileSync(open, CLIENT.secret, { mode: 0o644 });
    // Of the service itself: the secret is read at its start.
    const refused = refusedStart('console', { ...whole, PLINTH_CONSOLE_OIDC_SECRET_FILE: open });
    expect([refused.status, refused.stderr]).toEqual([78, expect.stringContaining('chmod 600')]);
  });
});

describe('a provider that is away', () => {
  it('does not keep the service from its start, nor others from their sign-in, and is found when it is there', async () => {
    const { body } = await api.ask<Ways>('GET', '/session/ways');
    expect(body.provider).toEqual({ name: 'Acme ID', available: false, canSignOut: false });
    const response = await fetch(`${url}/api/v1/session/oidc`, { redirect: 'manual' });
    expect([response.status, response.headers.get('location'), response.headers.get('set-cookie')]).toEqual([
      303,
      '/sign-in?problem=provider-unavailable',
      null,
    ]);
    await api.signedIn('olga', 'operator');
    await provider.start([`${url}/sign-in/oidc`]);
    for (;;) {
      const now = await api.ask<Ways>('GET', '/session/ways');
      if (now.body.provider.available) {
        expect(now.body.provider.canSignOut).toBe(true);
        break;
      }
    }
  });
});

describe('a person of the provider', () => {
  const claims = { preferred_username: 'dora', groups: ['team-acme', 'team-zeta', 'others'] };

  it('gets in by PKCE, with role and tenants of the groups, and goes on where it began', async () => {
    const browser = new BrowserJar();
    provider.person = { sub: 'd-1', claims };
    const address = await begun(browser, '/containers?q=shop');
    expect(Object.fromEntries(address.searchParams)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      redirect_uri: `${url}/sign-in/oidc`,
    });
    const query = await asked(browser, address);
    expect(query.get('iss')).toBe(provider.issuer);
    const { status, body } = await ended(browser, query);
    expect([status, body]).toEqual([
      200,
      {
        name: 'oidc:dora',
        role: 'developer',
        tenants: ['acme', 'zeta'],
        fromProvider: true,
        returnTo: '/containers?q=shop',
      },
    ]);
    expect((await me(browser)).body.name).toBe('oidc:dora');
    expect(await records('oidc:dora')).toEqual([{ outcome: 'ok', reason: null }]);
    // It has no password here, so that leaving the provider is leaving this.
    const cookie = browser.cookieFor(url);
    const password = 'correct horse battery';
    const set = await api.ask<SignedIn>('PUT', '/session/password', { cookie, body: { password } });
    expect([set.status, set.body.reason]).toEqual([409, 'from-provider']);
    expect((await api.ask('POST', '/session', { body: { name: 'oidc:dora', password } })).status).toBe(401);
    expect((await api.ask('DELETE', '/session', { cookie })).status).toBe(204);
    expect((await me(browser)).status).toBe(401);
    const end = await fetch(`${url}/api/v1/session/oidc/end`, { redirect: 'manual' });
    expect(end.headers.get('location')).toMatch(new RegExp(`^${provider.issuer}/session/end\\?`));
  });

  it('loses what the provider takes: sessions and tokens end, and other rights end sessions', async () => {
    const first = new BrowserJar();
    const second = new BrowserJar();
    await signIn('d-1', claims, first);
    const acme = { name: 'ci', role: 'developer', tenants: ['acme'] };
    const made = await api.ask<{ token: string }>('POST', '/tokens', { cookie: first.cookieFor(url), body: acme });
    const token = made.body.token;
    expect((await api.ask('GET', '/session', { token })).status).toBe(200);
    const fewer = await signIn('d-1', { ...claims, groups: 'team-zeta' }, second);
    expect(fewer.body.tenants).toEqual(['zeta']);
    expect((await me(first)).status).toBe(401);
    expect((await api.ask('GET', '/session', { token })).status).toBe(401);
    const refused = await signIn('d-1', { ...claims, groups: [] });
    expect([refused.status, refused.body.reason]).toEqual([403, 'no-group']);
    expect(refused.body.detail).toContain('ask an admin');
    expect((await me(second)).status).toBe(401);
    expect((await records('oidc:dora')).at(-1)).toEqual({ outcome: 'refused', reason: 'no-group' });
  });

  it('that is disabled here stays so, and gets rights from the provider alone', async () => {
    const admin = await api.signedIn('root', 'admin');
    const change = (body: object): Promise<Reply<SignedIn>> =>
      api.ask<SignedIn>('PATCH', `/users/${encodeURIComponent('oidc:dora')}`, { cookie: admin, body });
    expect((await change({ role: 'admin' })).body.reason).toBe('from-provider');
    expect((await change({ disabled: true })).status).toBe(204);
    const refused = await signIn('d-1', claims);
    expect([refused.status, refused.body.reason]).toEqual([403, 'user-disabled']);
    expect((await change({ disabled: false })).status).toBe(204);
    expect((await signIn('d-1', claims)).status).toBe(200);
  });

  it.each([
    ['of a local user', 'root', 'oidc:root'],
    ['with the prefix', 'oidc:root', 'h-1'],
    ['of 64 kB', 'x'.repeat(65_536), 'h-2'],
    ['with control characters', 'ro\u0000ot\r\nset-cookie: a=b', 'h-3'],
    ['that is none', { role: 'admin' }, 'h-4'],
  ])('whose name is one %s takes over nobody', async (_, name, expected) => {
    const sub = /^h-/.test(expected) ? expected : 'h-0';
    const { status, body } = await signIn(sub, { preferred_username: name, groups: ['ops'] });
    expect([status, body.name, body.role]).toEqual([
      200,
      expect.stringMatching(new RegExp(`(?:oidc:)?${expected}$`)),
      'operator',
    ]);
    expect(body.name).toMatch(/^oidc:/);
  });

  it('with the name of another person of the provider is another person', async () => {
    const { body } = await signIn('d-2', { ...claims, groups: ['ops'] });
    expect(body.name).toMatch(/^oidc:dora-[0-9a-f]{16}$/);
    const { rows } = await database.query("SELECT role FROM console.console_user WHERE name = 'oidc:dora'");
    expect(rows).toEqual([{ role: 'developer' }]);
  });

  it('ends at any copy what began at another, once', async () => {
    const browser = new BrowserJar();
    provider.person = { sub: 'd-1', claims };
    const query = await asked(browser, await begun(browser));
    const cookie = browser.cookieFor(url);
    const send = (): Promise<number> => atOther('/api/v1/session/oidc', { query: `?${query.toString()}` }, cookie);
    expect(await send()).toBe(200);
    expect(await send()).toBe(401);
    expect((await ended(browser, query)).body.reason).toBe('sign-in-over');
  });
});

describe('in a browser', () => {
  it('a person gets in from where it was, is refused without a group, and signs out of both', async () => {
    const browser = await chromium.launch({ executablePath: chromiumPath(), chromiumSandbox: false });
    try {
      // axe needs a script in the page; everything else works with the policy.
      const page = await (await browser.newContext({ bypassCSP: true })).newPage();
      const seen = (text: string): Promise<void> => page.getByText(text).first().waitFor({ timeout: PATIENCE_MS });
      provider.person = { sub: 'b-1', claims: { preferred_username: 'berta', groups: [] } };
      await page.goto(`${url}/containers?q=shop`);
      await page.getByRole('button', { name: 'Sign in with Acme ID' }).click({ timeout: PATIENCE_MS });
      await seen('you are in none of the groups');
      expect(page.url()).toBe(`${url}/sign-in`);
      await picture(page, 'sign-in-provider');
      expect(await violations(page)).toEqual([]);
      provider.person = { sub: 'b-1', claims: { preferred_username: 'berta', groups: ['ops'] } };
      await page.goto(`${url}/containers?q=shop`);
      await page.getByRole('button', { name: 'Sign in with Acme ID' }).click({ timeout: PATIENCE_MS });
      await seen('oidc:berta');
      expect(page.url()).toBe(`${url}/containers?q=shop`);
      await page.goto(`${url}/account`);
      await seen('Your provider has your password');
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'sign out' }).click();
      await page.getByRole('button', { name: 'Sign out of Acme ID too' }).click({ timeout: PATIENCE_MS });
      await page.waitForURL(`${provider.issuer}/session/end**`, { timeout: PATIENCE_MS });
    } finally {
      await browser.close();
    }
  });
});

describe('what is not the answer to what this browser began', () => {
  /** Each gets a query and a browser of its own that could go on. */
  const TRIES: readonly (readonly [
    name: string,
    expected: string,
    change: (query: URLSearchParams, browser: BrowserJar) => Promise<readonly [URLSearchParams, BrowserJar]>,
  ])[] = [
    [
      'another state',
      'provider-refused',
      async (query, browser) => (query.set('state', 'x'.repeat(43)), [query, browser]),
    ],
    ['no state', 'provider-refused', async (query, browser) => (query.delete('state'), [query, browser])],
    [
      'two states',
      'provider-refused',
      async (query, browser) => (query.append('state', query.get('state') ?? ''), [query, browser]),
    ],
    [
      'another issuer',
      'provider-refused',
      async (query, browser) => (query.set('iss', 'https://evil.example'), [query, browser]),
    ],
    [
      'no issuer, though the provider sends it',
      'provider-refused',
      async (query, browser) => (query.delete('iss'), [query, browser]),
    ],
    [
      'a code of somebody else, with the own state',
      'provider-refused',
      async (query) => {
        const own = new BrowserJar();
        const state = (await begun(own)).searchParams.get('state') ?? '';
        query.set('state', state);
        return [query, own];
      },
    ],
    ['the browser of nobody', 'sign-in-over', async (query) => [query, new BrowserJar()]],
    [
      'the browser of somebody else',
      'provider-refused',
      async (query) => {
        const another = new BrowserJar();
        await begun(another);
        return [query, another];
      },
    ],
    [
      'a refusal by the provider',
      'provider-refused',
      async (query, browser) => (query.delete('code'), query.set('error', 'access_denied'), [query, browser]),
    ],
  ];

  it.each(TRIES)('is refused: %s', async (_, expected, change) => {
    await database.query('DELETE FROM console.console_failure');
    const browser = new BrowserJar();
    provider.person = { sub: 'd-1', claims: { preferred_username: 'dora', groups: ['ops'] } };
    const [query, from] = await change(await asked(browser, await begun(browser)), browser);
    const { status, body, headers } = await ended(from, query);
    expect([status, body.reason]).toEqual([401, expected]);
    expect(headers.getSetCookie().join()).not.toMatch(/plinth-console=\w/);
  });

  it('is refused: another nonce, and a request of another site', async () => {
    await database.query('DELETE FROM console.console_failure');
    const browser = new BrowserJar();
    const address = await begun(browser);
    address.searchParams.set('nonce', 'another');
    expect((await ended(browser, await asked(browser, address))).body.reason).toBe('provider-refused');
    const foreign = await api.ask<SignedIn>('POST', '/session/oidc', {
      origin: 'https://evil.example',
      body: { query: '?code=x' },
    });
    expect([foreign.status, foreign.body.reason]).toEqual([403, 'foreign-origin']);
  });

  const now = Math.floor(Date.now() / 1000);
  it.each([
    ['that is over', 401, { claims: { exp: now - 120 } }],
    // Clocks may differ a little.
    ['that is just over', 200, { claims: { exp: now - 1 } }],
    ['of the time to come', 401, { claims: { iat: now + 300, nbf: now + 300 } }],
    ['for another client', 401, { claims: { aud: 'another' } }],
    ['of another issuer', 401, { claims: { iss: 'https://evil.example' } }],
    ['without a nonce', 401, { claims: { nonce: undefined } }],
    ['signed by another key', 401, { key: newKey() }],
    ['that asks for no signature', 401, { header: { alg: 'none' } }],
  ])('is judged: a token %s', async (_, expected, forged) => {
    await database.query('DELETE FROM console.console_failure');
    provider.forged = forged;
    try {
      expect((await signIn('d-1', { groups: ['ops'] })).status).toBe(expected);
    } finally {
      provider.forged = undefined;
    }
  });

  it.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
    '/\r\nset-cookie: a=b',
  ])('is refused: going on at %j', async (path) => {
    const { status, body } = await api.ask<SignedIn>('GET', `/session/oidc?return=${encodeURIComponent(path)}`);
    expect([status, body.reason]).toEqual([400, 'invalid-request']);
  });

  it('makes an address wait that tries often', async () => {
    const statuses: number[] = [];
    for (let index = 0; index < 21; index++)
      statuses.push((await ended(new BrowserJar(), new URLSearchParams())).status);
    expect(statuses.at(0)).toBe(401);
    expect(statuses.at(-1)).toBe(429);
    await database.query('DELETE FROM console.console_failure');
  });

  it('is a provider that went away meanwhile', async () => {
    const browser = new BrowserJar();
    provider.person = { sub: 'd-1', claims: { preferred_username: 'dora', groups: ['ops'] } };
    const query = await asked(browser, await begun(browser));
    await provider.stop();
    const { status, body } = await ended(browser, query);
    expect([status, body.reason]).toEqual([503, 'provider-unavailable']);
    expect(body.detail).toContain('sign in by password or link');
    await api.signedIn('olga', 'operator');
  });
});
