/** Name and password, or a link of `plinth console`. */
import { useEffect, useState } from 'preact/hooks';
import { go } from './route.js';
import { signIn } from './session.js';

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
      .catch(() => setProblem('the console does not answer; try again'))
      .finally(() => setBusy(false));
  };
  useEffect(() => {
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
      <p>
        On the machine of the stack, <code>plinth console</code> prints a link that signs you in.
      </p>
    </main>
  );
}
