/** Name and password, a link of `plinth console`, or an OpenID provider. */
import type { SignInWays } from '@plinth/contracts/console';
import { useEffect, useState } from 'preact/hooks';
import { ask } from './api.js';
import { go } from './route.js';
import { endProviderSignIn, leftProvider, signIn } from './session.js';

export const PROVIDER_RETURN = '/sign-in/oidc';
const AWAY = 'the console does not answer; try again';

export function SignIn() {
  const [problem, setProblem] = useState<string | undefined>();
  const [isBusy, setBusy] = useState(false);
  const begin = (body: object): void => {
    setBusy(true);
    signIn(body)
      .then((wrong) => {
        setProblem(wrong);
        if (wrong === undefined && location.pathname === '/sign-in') go('/');
      })
      .catch(() => setProblem(AWAY))
      .finally(() => setBusy(false));
  };
  const endAtProvider = (query: string): void => {
    setBusy(true);
    endProviderSignIn(query)
      .then((ended) => ('problem' in ended ? setProblem(ended.problem) : go(ended.returnTo)))
      .catch(() => setProblem(AWAY))
      .finally(() => setBusy(false));
  };
  useEffect(() => {
    if (location.pathname === PROVIDER_RETURN) {
      const { search } = location;
      // A code works once, too.
      history.replaceState(null, '', '/sign-in');
      endAtProvider(search);
      return;
    }
    if (location.pathname === '/sign-in' && location.search === '?problem=provider-unavailable')
      setProblem('The provider does not answer; try again, or sign in by password or link.');
    const link = /^#link=([\w.-]+)$/.exec(location.hash)?.[1];
    if (link === undefined) return;
    // A link works once: it does not stay in the history.
    history.replaceState(null, '', '/sign-in');
    begin({ link });
  }, []);
  return (
    <main class="sign-in">
      <h1>Plinth</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const fields = new FormData(event.currentTarget);
          begin({ name: fields.get('name'), password: fields.get('password') });
        }}
      >
        <label for="name">Name</label>
        <input id="name" name="name" autoComplete="username" required maxLength={63} />
        <label for="password">Password</label>
        <input
          id="password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
          maxLength={1000}
        />
        <button type="submit" disabled={isBusy}>
          Sign in
        </button>
        <p class="problem" role="alert">
          {problem ?? ''}
        </p>
      </form>
      <Provider isBusy={isBusy} />
      <p>
        On the machine of the stack, <code>plinth console</code> prints a link that signs you in.
      </p>
    </main>
  );
}

/** Asked for each time the page is shown: whether the provider answers may be another than before. */
function Provider({ isBusy }: { readonly isBusy: boolean }) {
  const [ways, setWays] = useState<SignInWays>({ provider: null });
  useEffect(() => {
    void ask<SignInWays>('GET', '/session/ways').then((answer) => answer.ok && setWays(answer.data));
  }, []);
  const { provider } = ways;
  if (provider === null) return null;
  const { pathname, search } = location;
  const returnTo = pathname.startsWith('/sign-in') ? '/' : pathname + search;
  return (
    <section class="provider" aria-label={provider.name}>
      <button
        type="button"
        disabled={isBusy}
        onClick={() => location.assign(`/api/v1/session/oidc?return=${encodeURIComponent(returnTo.slice(0, 1_000))}`)}
      >
        Sign in with {provider.name}
      </button>
      {!provider.available && <p>{provider.name} does not answer at this moment; password and link work.</p>}
      {leftProvider.value && provider.canSignOut && (
        <p>
          You are signed out here.{' '}
          <button type="button" onClick={() => location.assign('/api/v1/session/oidc/end')}>
            Sign out of {provider.name} too
          </button>
        </p>
      )}
    </section>
  );
}
