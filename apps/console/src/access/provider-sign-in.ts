/** Signs people in by an OpenID provider: begins it, and decides who gets in with which rights; each try on record. */
import { Inject, Injectable } from '@nestjs/common';
import { BEGUN_SECONDS, type BegunSignIn, idOfBegun, openBegun, sealBegun } from '../adapters/begun-sign-in.js';
import { IdentityProvider } from '../adapters/identity-provider.js';
import { OIDC_SETTINGS, type OidcSettings } from '../adapters/oidc-settings.js';
import { type Account, PeopleStore } from '../adapters/postgres/people.store.js';
import { ProviderPeopleStore } from '../adapters/postgres/provider-people.store.js';
import type { ProblemReason } from '../domain/problem.js';
import { grantOf, groupsOf, personNameOf, PROVIDER_PREFIX } from '../domain/provider-grant.js';
import { SignIn, type SignInOutcome } from './sign-in.js';

export type ProviderOutcome = SignInOutcome & { readonly returnTo?: string };
type Refusal = Extract<SignInOutcome, { readonly ok: false }>;

const refusal = (reason: ProblemReason, message: string): Refusal => ({ ok: false, reason, message });
const NONE = refusal('not-found', 'there is no OpenID provider; PLINTH_CONSOLE_OIDC_ISSUER names one');
const OVER = refusal(
  'sign-in-over',
  'this sign-in was begun elsewhere, more than 10 minutes ago, or is done; begin again',
);
const REFUSED = refusal(
  'provider-refused',
  'the provider did not sign you in; try again, or ask an admin: the log has why',
);

@Injectable()
export class ProviderSignIn {
  constructor(
    @Inject(OIDC_SETTINGS) private readonly settings: OidcSettings | null,
    @Inject(IdentityProvider) private readonly provider: IdentityProvider,
    @Inject(ProviderPeopleStore) private readonly people: ProviderPeopleStore,
    @Inject(PeopleStore) private readonly accounts: PeopleStore,
    @Inject(SignIn) private readonly signIn: SignIn,
  ) {}

  /** What a page offers; undefined: there is no provider. */
  async offered(): Promise<{ name: string; available: boolean; canSignOut: boolean } | undefined> {
    if (!this.settings) return undefined;
    const reached = await this.provider.reach();
    return { name: this.settings.name, available: reached !== undefined, canSignOut: reached?.canSignOut ?? false };
  }

  /** @returns where the browser goes, and the sealed cookie that it brings back */
  async begin(
    returnTo: string,
  ): Promise<
    { readonly ok: true; readonly address: string; readonly sealed: string; readonly seconds: number } | Refusal
  > {
    if (!this.settings) return NONE;
    const begun = await this.provider.begin();
    if (!begun) return this.unavailable(this.settings);
    const until = Math.floor(Date.now() / 1000) + BEGUN_SECONDS;
    const sealed = sealBegun({ ...begun.begun, returnTo, until }, this.settings.secret());
    return { ok: true, address: begun.address, sealed, seconds: BEGUN_SECONDS };
  }

  /**
   * @param query of the address to which the provider sent the browser
   * @param sealed the cookie; undefined: it has none
   */
  async end(query: string, sealed: string | undefined, address: string): Promise<ProviderOutcome> {
    const { settings } = this;
    if (!settings) return NONE;
    const waitSeconds = await this.accounts.waitOf([`address:${address}`]);
    if (waitSeconds > 0) {
      await this.signIn.recordTooMany('oidc', '-', address);
      return { ...refusal('too-many-sign-ins', `try again in ${waitSeconds} s`), waitSeconds };
    }
    const begun = sealed === undefined ? undefined : openBegun(sealed, settings.secret(), Date.now() / 1000);
    // Used up before the code is: of two copies that are sent the same, one goes on.
    if (!begun || !(await this.people.useOnce(idOfBegun(begun)))) return this.refused(OVER, '-', address, true);
    const answer = await this.provider.end(query, begun);
    if (answer.ok) return this.admit(settings, answer, begun, address);
    if (answer.reason === 'provider-unavailable') return this.refused(this.unavailable(settings), '-', address, false);
    return this.refused(REFUSED, '-', address, true);
  }

  /** Where the provider ends its own session; undefined: nowhere, or it is away. */
  signOutAddress(): Promise<string | undefined> {
    return this.provider.signOutAddress();
  }

  private async admit(
    settings: OidcSettings,
    answer: Extract<Awaited<ReturnType<IdentityProvider['end']>>, { readonly ok: true }>,
    { returnTo }: BegunSignIn,
    address: string,
  ): Promise<ProviderOutcome> {
    const { claims } = answer;
    const grant = grantOf(groupsOf(claims, settings.groupsClaim), settings.groups, settings.fallback);
    const name = personNameOf(claims, settings.nameClaim);
    if (!grant) {
      const known = await this.people.endRights(answer);
      const actor = known ?? (name === undefined ? '-' : PROVIDER_PREFIX + name);
      const message = `you are in none of the groups that may use this console; ask an admin to put you into one at ${settings.name} (PLINTH_CONSOLE_OIDC_GROUPS has them), then sign in again`;
      return this.refused(refusal('no-group', message), actor, address, false);
    }
    if (name === undefined) {
      const message = `${settings.name} names you in no way that can be a name here; an admin sets PLINTH_CONSOLE_OIDC_NAME_CLAIM`;
      return this.refused(refusal('no-name', message), '-', address, false);
    }
    const account: Account = await this.people.admit(answer, name, grant);
    if (account.disabled) {
      const message = `${account.name} is disabled in this console; an admin enables people on the page Access`;
      return this.refused(refusal('user-disabled', message), account.name, address, false);
    }
    const outcome = await this.signIn.begin(account, 'oidc', address);
    return { ...outcome, returnTo };
  }

  private unavailable({ name }: OidcSettings): Refusal {
    return refusal('provider-unavailable', `${name} does not answer; try again, or sign in by password or link`);
  }

  /** @param counts whether it may be a guess, which makes the address wait */
  private async refused(outcome: Refusal, actor: string, address: string, counts: boolean): Promise<Refusal> {
    if (counts) await this.accounts.recordFailure('address', address);
    await this.signIn.record({ actor, method: 'oidc', address, outcome: 'refused', reason: outcome.reason });
    return outcome;
  }
}
