/** People: added, changed, disabled by an admin; each change on record. */
import { Inject, Injectable } from '@nestjs/common';
import type { ChangeUser, CreateUser } from '@plinth/contracts/console';
import { AuditStore } from '../adapters/postgres/audit.store.js';
import { PeopleStore, type Person } from '../adapters/postgres/people.store.js';
import type { ProblemReason } from '../domain/problem.js';
import { isFromProvider } from '../domain/provider-grant.js';
import { SignIn } from './sign-in.js';

export type Changed =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: ProblemReason; readonly message: string };

const DONE = { outcome: 'done', reason: null, message: null } as const;
const BUSY = { ok: false, reason: 'unavailable', message: 'too many sign in at this moment; try again' } as const;
const NO_TENANT = { ok: false, reason: 'invalid-request', message: 'tenants: a developer needs at least one' } as const;

@Injectable()
export class Accounts {
  constructor(
    @Inject(PeopleStore) private readonly people: PeopleStore,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(SignIn) private readonly signIn: SignIn,
  ) {}

  async add(by: Person, address: string, { name, role, tenants = [], password }: CreateUser): Promise<Changed> {
    if (role === 'developer' && tenants.length === 0) return NO_TENANT;
    const hash = password === undefined ? null : await this.signIn.hash(password);
    if (hash === undefined) return BUSY;
    if (!(await this.people.addAccount(name, { role, tenants }, hash)))
      return { ok: false, reason: 'user-exists', message: `there is a user ${name}` };
    await this.record(by, address, 'user.add', name, rightsOf({ role, tenants }));
    return { ok: true };
  }

  async change(by: Person, address: string, name: string, { password, ...change }: ChangeUser): Promise<Changed> {
    const account = await this.people.account(name);
    if (!account) return noUser(name);
    if (isFromProvider(name) && (change.role ?? change.tenants ?? password) !== undefined)
      return {
        ok: false,
        reason: 'from-provider',
        message: `role, tenants and password of ${name} are the OpenID provider's; change the groups there, or disable ${name} here`,
      };
    const role = change.role ?? account.role;
    if (!isFromProvider(name) && role === 'developer' && (change.tenants ?? account.tenants).length === 0)
      return NO_TENANT;
    const hash = password === undefined ? undefined : await this.signIn.hash(password);
    if (password !== undefined && hash === undefined) return BUSY;
    if ((await this.people.changeAccount(name, { ...change, password: hash })) === 'last-admin')
      return { ok: false, reason: 'last-admin', message: `${name} is the last admin; make another one first` };
    const what = [
      rightsOf(change),
      change.disabled === undefined ? '' : change.disabled ? 'disabled' : 'enabled',
      password === undefined ? '' : 'another password',
    ];
    await this.record(by, address, 'user.change', name, what.filter((text) => text !== '').join(', '));
    return { ok: true };
  }

  async endSessions(by: Person, address: string, name: string): Promise<Changed> {
    if (!(await this.people.account(name))) return noUser(name);
    const ended = await this.people.endSessions(name);
    await this.record(by, address, 'user.end-sessions', name, `${ended} ended`);
    return { ok: true };
  }

  /** What the console does by itself, without the bus. */
  async record(by: Person, address: string, act: string, target: string, message: string): Promise<void> {
    await this.audit.settled(
      { actor: by.name, via: by.via, address, act, target, tenant: null, why: null },
      { ...DONE, message: message === '' ? null : message },
    );
  }
}

function rightsOf({ role, tenants }: { readonly role?: string; readonly tenants?: readonly string[] }): string {
  return [role, tenants && tenants.length > 0 ? `of ${tenants.join(' ')}` : ''].filter(Boolean).join(' ');
}

function noUser(name: string): Changed {
  return { ok: false, reason: 'user-not-found', message: `there is no user ${name}` };
}
