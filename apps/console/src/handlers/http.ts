/** What handlers have of a request and an answer. */
import { checkPayload } from '@plinth/contracts';
import type { SessionAnswer } from '@plinth/contracts/console';
import { HttpException } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from '../adapters/web.js';
import type { Person } from '../adapters/postgres/people.store.js';
import { isFromProvider } from '../domain/provider-grant.js';
import { PROBLEM_STATUS, problemBody, type ProblemReason } from '../domain/problem.js';

export interface SignedInRequest extends IncomingMessage {
  person: Person;
  /** Of the session; absent: an API token asks. */
  token?: string;
  /** Whether the person may go on with the same rights; not a use that keeps a session alive. */
  mayGoOn: () => Promise<boolean>;
}

export type Response = ServerResponse;

/** Becomes problem details. */
export class ApiProblem extends HttpException {
  constructor(reason: ProblemReason, detail: string) {
    super(problemBody(reason, detail), PROBLEM_STATUS[reason]);
  }
}

const COOKIE = 'plinth-console';
/** Browsers take this name only with `Secure`, without `Domain`, and for `/`. */
const SECURE_COOKIE = `__Host-${COOKIE}`;

export function isSecure(url: string | undefined): boolean {
  return url?.startsWith('https:') ?? false;
}

export function tokenOf(request: IncomingMessage, secure: boolean): string | undefined {
  return cookieNamed(secure ? SECURE_COOKIE : COOKIE, request);
}

/** @param seconds 0: the browser forgets it */
export function cookieOf(token: string, seconds: number, secure: boolean): string {
  return cookie(secure ? SECURE_COOKIE : COOKIE, token, seconds, secure);
}

/** Of a sign-in that was begun at the OpenID provider. */
export function begunOf(request: IncomingMessage, secure: boolean): string | undefined {
  return cookieNamed(`${secure ? SECURE_COOKIE : COOKIE}-oidc`, request);
}

export function begunCookieOf(sealed: string, seconds: number, secure: boolean): string {
  return cookie(`${secure ? SECURE_COOKIE : COOKIE}-oidc`, sealed, seconds, secure);
}

function cookieNamed(name: string, { headers }: IncomingMessage): string | undefined {
  const prefix = `${name}=`;
  const found = (headers.cookie ?? '').split(/; */).find((part) => part.startsWith(prefix));
  return found?.slice(prefix.length);
}

function cookie(name: string, value: string, seconds: number, secure: boolean): string {
  return `${name}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure ? '; Secure' : ''}`;
}

export function sessionAnswer({ name, role, tenants }: Omit<Person, 'via'>): SessionAnswer {
  return { name, role, tenants, fromProvider: isFromProvider(name) };
}

/** Without the prefix of IPv4 in IPv6. */
export function addressOf({ socket }: IncomingMessage): string {
  return (socket.remoteAddress ?? '-').replace(/^::ffff:/, '');
}

/** @throws ApiProblem naming every wrong field */
export function checked<T extends object>(shape: new () => T, given: unknown): T {
  const result = checkPayload(shape, given ?? {});
  if (result.ok) return result.value;
  throw new ApiProblem(
    'invalid-request',
    result.problems
      .map(({ path, message }) => `${path}: ${message}`)
      .join('; ')
      .slice(0, 1_000),
  );
}

/** Parameters of an address are texts: these are numbers. */
export function withNumbers(query: Readonly<Record<string, unknown>>, ...names: readonly string[]): object {
  const numbers = names.filter((name) => query[name] !== undefined).map((name) => [name, Number(query[name])] as const);
  return { ...query, ...Object.fromEntries(numbers) };
}

/** The token of `Authorization: Bearer …` (RFC 6750); empty when it has another form; undefined: there is no such header. */
export function bearerOf({ headers }: IncomingMessage): string | undefined {
  if (headers.authorization === undefined) return undefined;
  return /^Bearer ([\w-]{1,200})$/i.exec(headers.authorization)?.[1] ?? '';
}
