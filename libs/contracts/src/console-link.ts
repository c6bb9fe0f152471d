/**
 * One-time links into the console: a claim with its end, sealed with a secret that the operator's tool and the console
 * read from the same file. The console keeps which of them were used.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { NAME_PATTERN } from './values.js';

export const CONSOLE_ROLES = ['admin', 'operator', 'viewer', 'developer'] as const;
export type ConsoleRole = (typeof CONSOLE_ROLES)[number];

/** Whom a link signs in. */
export interface ConsoleLink {
  /** Random. */
  readonly id: string;
  readonly user: string;
  /** Of a user that is not there yet; one that is keeps its own. */
  readonly role: ConsoleRole;
  readonly tenants: readonly string[];
  /** Seconds after 1970. */
  readonly until: number;
}

export const CONSOLE_LINK_SECONDS = 60;
const MAX_LENGTH = 4_096;
const MAX_TENANTS = 32;

const seal = (secret: Uint8Array, claim: string): Buffer =>
  createHmac('sha256', secret).update('plinth-console-link ').update(claim).digest();

export function sealConsoleLink(link: ConsoleLink, secret: Uint8Array): string {
  const claim = Buffer.from(JSON.stringify(link)).toString('base64url');
  return `${claim}.${seal(secret, claim).toString('base64url')}`;
}

/** @returns undefined when it is none of the secret's, or over */
export function openConsoleLink(text: string, secret: Uint8Array, nowSeconds: number): ConsoleLink | undefined {
  const [claim = '', mark = '', ...rest] = text.length > MAX_LENGTH ? [] : text.split('.');
  const expected = seal(secret, claim);
  const given = Buffer.from(mark, 'base64url');
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  const link = JSON.parse(Buffer.from(claim, 'base64url').toString('utf8')) as ConsoleLink;
  const { user, role, tenants, until } = link;
  const isWhole =
    NAME_PATTERN.test(user) &&
    CONSOLE_ROLES.includes(role) &&
    tenants.length <= MAX_TENANTS &&
    tenants.every((tenant) => NAME_PATTERN.test(tenant));
  const left = until - nowSeconds;
  return isWhole && left > 0 && left <= CONSOLE_LINK_SECONDS ? link : undefined;
}
