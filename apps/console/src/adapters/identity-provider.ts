/**
 * The OpenID provider, as its discovery document describes it: it is asked when somebody signs in, never at the start,
 * and each answer has a time and a size.
 */
import { Inject, Injectable } from '@nestjs/common';
import { LOGGER, type Logger } from '@plinth/service-kit';
import type { ClientAuth, Configuration, CustomFetch } from 'openid-client';
import type { Claims } from '../domain/provider-grant.js';
import type { BegunSignIn } from './begun-sign-in.js';
import { OIDC_SETTINGS, type OidcSettings } from './oidc-settings.js';

export type ProviderAnswer =
  | { readonly ok: true; readonly issuer: string; readonly subject: string; readonly claims: Claims }
  | { readonly ok: false; readonly reason: 'provider-unavailable' | 'provider-refused' };

type Library = typeof import('openid-client');
interface Known {
  readonly library: Library;
  readonly configuration: Configuration;
  /** By `performance.now()`. */
  readonly at: number;
}

const TIMEOUT_SECONDS = 5;
const FRESH_MS = 60_000;
const AGAIN_MS = 2_000;
const CLOCK_SKEW_SECONDS = 30;
const MAX_ANSWER_BYTES = 1_048_576;
const CALLBACK = '/sign-in/oidc';

class AnswerTooLongError extends Error {}

@Injectable()
export class IdentityProvider {
  /** The last description, which may be old. */
  private known: Known | undefined;
  private failedAt: number | undefined;
  private asking: Promise<Known | undefined> | undefined;

  constructor(
    @Inject(OIDC_SETTINGS) private readonly settings: OidcSettings | null,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Whether it can be reached, and whether it ends sessions of its own. @returns undefined: it is away */
  async reach(): Promise<{ readonly canSignOut: boolean } | undefined> {
    const present = await this.present();
    return present && { canSignOut: present.configuration.serverMetadata().end_session_endpoint !== undefined };
  }

  /** @returns where the browser goes, and what has to be kept until it comes back; undefined: the provider is away */
  async begin(): Promise<
    { readonly address: string; readonly begun: Pick<BegunSignIn, 'state' | 'nonce' | 'verifier'> } | undefined
  > {
    const present = await this.present();
    if (!present || !this.settings) return undefined;
    const { library, configuration } = present;
    const verifier = library.randomPKCECodeVerifier();
    const begun = { state: library.randomState(), nonce: library.randomNonce(), verifier };
    const address = library.buildAuthorizationUrl(configuration, {
      redirect_uri: new URL(CALLBACK, this.settings.console).href,
      scope: this.settings.scopes,
      state: begun.state,
      nonce: begun.nonce,
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return { address: address.href, begun };
  }

  /**
   * Exchanges the code and checks what it stands for.
   * @param query of the address to which the provider sent the browser
   */
  async end(query: string, { state, nonce, verifier }: BegunSignIn): Promise<ProviderAnswer> {
    // An old description is enough: whether the provider is there shows below.
    const known = (await this.present()) ?? this.known;
    if (!known || !this.settings) return { ok: false, reason: 'provider-unavailable' };
    const { library, configuration } = known;
    const address = new URL(CALLBACK, this.settings.console);
    address.search = query;
    try {
      const tokens = await library.authorizationCodeGrant(configuration, address, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (!claims) return { ok: false, reason: 'provider-refused' };
      const more = await this.userInfo(known, tokens.access_token, claims);
      return { ok: true, issuer: claims.iss, subject: claims.sub, claims: { ...more, ...claims } };
    } catch (error) {
      return { ok: false, reason: this.reasonOf(library, error) };
    }
  }

  /** Where the provider ends its own session; undefined: it does not, or is away. */
  async signOutAddress(): Promise<string | undefined> {
    const present = await this.present();
    if (!present || !this.settings || !present.configuration.serverMetadata().end_session_endpoint) return undefined;
    const { library, configuration } = present;
    return library.buildEndSessionUrl(configuration, {
      post_logout_redirect_uri: new URL('/sign-in', this.settings.console).href,
    }).href;
  }

  /** Some providers name groups or people there only. */
  private async userInfo(
    { library, configuration }: Known,
    accessToken: string,
    claims: { readonly sub: string } & Claims,
  ): Promise<Claims> {
    const { groupsClaim = '', nameClaim = 'preferred_username' } = this.settings ?? {};
    const isWhole = Object.hasOwn(claims, groupsClaim) && Object.hasOwn(claims, nameClaim);
    if (isWhole || !configuration.serverMetadata().userinfo_endpoint) return {};
    return library.fetchUserInfo(configuration, accessToken, claims.sub);
  }

  private async present(): Promise<Known | undefined> {
    const now = performance.now();
    if (this.known && now - this.known.at < FRESH_MS) return this.known;
    if (this.failedAt !== undefined && now - this.failedAt < AGAIN_MS) return undefined;
    this.asking ??= this.discover().finally(() => (this.asking = undefined));
    return this.asking;
  }

  private async discover(): Promise<Known | undefined> {
    const { settings } = this;
    if (!settings) return undefined;
    const library = await import('openid-client');
    const { issuer, clientId, secret } = settings;
    try {
      const configuration = await library.discovery(
        issuer,
        clientId,
        { [library.clockTolerance]: CLOCK_SKEW_SECONDS },
        clientLogin(library, secret()),
        {
          [library.customFetch]: boundedFetch,
          timeout: TIMEOUT_SECONDS,
          execute: [
            // Signatures are checked though tokens come straight from the provider.
            library.enableNonRepudiationChecks,
            ...(issuer.protocol === 'http:' ? [library.allowInsecureRequests] : []),
          ],
        },
      );
      this.known = { library, configuration, at: performance.now() };
      this.failedAt = undefined;
      return this.known;
    } catch (error) {
      this.failedAt = performance.now();
      this.logger.warn({ err: error, issuer: issuer.href }, 'the OpenID provider can not be used at this moment');
      return undefined;
    }
  }

  private reasonOf(library: Library, error: unknown): 'provider-unavailable' | 'provider-refused' {
    const isAway =
      error instanceof TypeError ||
      error instanceof AnswerTooLongError ||
      (error instanceof library.ResponseBodyError && error.status >= 500) ||
      (error instanceof library.ClientError &&
        (error.code === 'OAUTH_TIMEOUT' || (error.cause instanceof Response && error.cause.status >= 500)));
    const isKnown =
      isAway ||
      error instanceof library.ClientError ||
      error instanceof library.ResponseBodyError ||
      error instanceof library.AuthorizationResponseError ||
      error instanceof library.WWWAuthenticateChallengeError;
    if (!isKnown) throw error;
    const { code, message } = error as Error & { readonly code?: string };
    const detail = error instanceof library.ResponseBodyError ? error.error : undefined;
    // Not the error itself: its cause may hold tokens.
    this.logger.warn({ code, detail, message }, 'a sign-in by the OpenID provider failed');
    return isAway ? 'provider-unavailable' : 'provider-refused';
  }
}

/** By the header where the provider takes it, which is what it takes when it does not say (OpenID Discovery §3). */
function clientLogin(library: Library, secret: string): ClientAuth {
  const byHeader = library.ClientSecretBasic(secret);
  const byBody = library.ClientSecretPost(secret);
  return (server, client, body, headers) => {
    const { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] } = server;
    (methods.includes('client_secret_basic') ? byHeader : byBody)(server, client, body, headers);
  };
}

/** What is longer than any answer of a provider is not read to its end. */
const boundedFetch: CustomFetch = async (url, options) => {
  const response = await fetch(url, options as RequestInit);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_ANSWER_BYTES) throw new AnswerTooLongError(`${url} answers more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  const { status, statusText, headers } = response;
  return new Response(length === 0 ? null : Buffer.concat(chunks), { status, statusText, headers });
};
