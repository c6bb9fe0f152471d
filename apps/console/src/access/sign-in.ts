/** Signs people in and out: passwords, one-time links, sessions; and records each try. */
import { Inject, Injectable } from '@nestjs/common';
import { openConsoleLink } from '@plinth/contracts';
import { readSecret } from '@plinth/service-kit';
import { createHash, randomBytes } from 'node:crypto';
import { ConsoleConfig } from '../config.js';
import { signIns } from '../adapters/metrics.js';
import { Passwords } from '../adapters/passwords.js';
import { type Account, PeopleStore, type Person, type SignInRecord } from '../adapters/postgres/people.store.js';
import type { ProblemReason } from '../domain/problem.js';

export type SignInOutcome =
  | { readonly ok: true; readonly token: string; readonly person: Person; readonly seconds: number }
  | { readonly ok: false; readonly reason: ProblemReason; readonly message: string; readonly waitSeconds?: number };

const WRONG = {
  ok: false,
  reason: 'wrong-sign-in',
  message: 'the name or the password is wrong; for a link, run: plinth console',
} as const;
const BUSY = { ok: false, reason: 'unavailable', message: 'too many sign in at this moment; try again' } as const;
const TOO_MANY_MS = 60_000;
const MOST_REFUSED = 1_000;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

@Injectable()
export class SignIn {
  private readonly passwords = new Passwords();
  /** By address: when its last refusal for too many tries was recorded, by `performance.now()`. */
  private readonly refused = new Map<string, number>();

  constructor(
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
    @Inject(PeopleStore) private readonly people: PeopleStore,
  ) {}

  async withPassword(name: string, password: string, address: string): Promise<SignInOutcome> {
    const waitSeconds = await this.people.waitOf([`account:${name}`, `address:${address}`]);
    if (waitSeconds > 0) {
      await this.recordTooMany('password', name, address);
      const message = `too many wrong sign-ins; try again in ${waitSeconds} s`;
      return { ok: false, reason: 'too-many-sign-ins', message, waitSeconds };
    }
    const account = await this.people.account(name);
    const isRight = await this.passwords.isRight(password, account?.password ?? null);
    if (isRight === undefined) return BUSY;
    if (!account || !isRight || account.disabled) {
      await this.people.recordFailure('account', name);
      await this.people.recordFailure('address', address);
      await this.record({ actor: name, method: 'password', address, outcome: 'refused', reason: 'wrong-sign-in' });
      return WRONG;
    }
    await this.people.forgetFailures(name);
    return this.begin(account, 'password', address);
  }

  async withLink(text: string, address: string): Promise<SignInOutcome> {
    const { PLINTH_CONSOLE_LINK_FILE: file } = this.config;
    const waitSeconds = await this.people.waitOf([`address:${address}`]);
    if (waitSeconds > 0)
      return { ok: false, reason: 'too-many-sign-ins', message: `try again in ${waitSeconds} s`, waitSeconds };
    const link = file === undefined ? undefined : openConsoleLink(text, readSecret(file), Date.now() / 1000);
    const account = link && (await this.people.useLink(link));
    if (!account || account.disabled) {
      await this.people.recordFailure('address', address);
      await this.record({
        actor: link?.user ?? '-',
        method: 'link',
        address,
        outcome: 'refused',
        reason: 'wrong-sign-in',
      });
      return {
        ok: false,
        reason: 'wrong-sign-in',
        message: 'this link was used, is older than a minute, or is none; make another: plinth console',
      };
    }
    return this.begin(account, 'link', address);
  }

  /** @param isUse false: it keeps no session alive */
  async personOf(token: string | undefined, isUse = true): Promise<Person | undefined> {
    if (token === undefined || !TOKEN.test(token)) return undefined;
    return this.people.session(hashOf(token), this.config.PLINTH_CONSOLE_IDLE_MINUTES * 60, isUse);
  }

  async out(token: string, person: Person, address: string): Promise<void> {
    await this.people.endSession(hashOf(token));
    await this.record({ actor: person.name, method: 'sign-out', address, outcome: 'ok', reason: null });
  }

  /** @returns PHC string; undefined: too many wait */
  hash(password: string): Promise<string | undefined> {
    return this.passwords.hash(password);
  }

  /** All other sessions of the person end. @returns false: too many wait */
  async changePassword(token: string, person: Person, password: string, address: string): Promise<boolean> {
    const hash = await this.passwords.hash(password);
    if (hash === undefined) return false;
    await this.people.setPassword(person.name, hash);
    await this.people.endOtherSessions(person.name, hashOf(token));
    await this.record({ actor: person.name, method: 'password-change', address, outcome: 'ok', reason: null });
    return true;
  }

  /** Of a person whose right to it was checked. */
  async begin(
    { name, role, tenants }: Account,
    method: 'password' | 'link' | 'oidc',
    address: string,
  ): Promise<Extract<SignInOutcome, { readonly ok: true }>> {
    const token = randomBytes(32).toString('base64url');
    const seconds = this.config.PLINTH_CONSOLE_SESSION_HOURS * 3_600;
    // On record before the session can be used.
    await this.record({ actor: name, method, address, outcome: 'ok', reason: null });
    await this.people.beginSession(hashOf(token), name, seconds);
    return { ok: true, token, person: { name, role, tenants, via: 'session' }, seconds };
  }

  /** Once a minute for an address: who is refused without a look at the password must not fill the record. */
  async recordTooMany(method: 'password' | 'oidc', actor: string, address: string): Promise<void> {
    const now = performance.now();
    for (const [known, at] of this.refused) if (now - at > TOO_MANY_MS) this.refused.delete(known);
    if (this.refused.has(address) || this.refused.size >= MOST_REFUSED) return;
    this.refused.set(address, now);
    await this.record({ actor, method, address, outcome: 'refused', reason: 'too-many-sign-ins' });
  }

  /** Each try, before what follows from it. */
  record(entry: SignInRecord): Promise<void> {
    signIns.inc({ method: entry.method, outcome: entry.outcome });
    return this.people.record(entry);
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
