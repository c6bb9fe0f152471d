/** Who is signed in. */
import { signal } from '@preact/signals';
import type { Problem, ProviderSignedIn, SessionAnswer } from '@plinth/contracts/console';

/** undefined: not known yet; null: nobody. */
export const session = signal<SessionAnswer | null | undefined>(undefined);

/** Of an OpenID provider, where another session may be open still. */
export const leftProvider = signal(false);

export async function checkSession(): Promise<'signed-in' | 'signed-out' | 'unknown'> {
  try {
    const response = await fetch('/api/v1/session?quiet');
    if (response.ok) {
      session.value = (await response.json()) as SessionAnswer;
      return 'signed-in';
    }
    if (response.status !== 401) return 'unknown';
    session.value = null;
    return 'signed-out';
  } catch (error) {
    if (error instanceof TypeError) return 'unknown';
    throw error;
  }
}

/** @returns what is wrong, for people; undefined: signed in */
export async function signIn(body: object): Promise<string | undefined> {
  const response = await fetch('/api/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) return ((await response.json()) as Problem).detail;
  session.value = (await response.json()) as SessionAnswer;
  return undefined;
}

/**
 * @param query with which the OpenID provider sent the browser back
 * @returns where to go on, or what is wrong
 */
export async function endProviderSignIn(query: string): Promise<{ returnTo: string } | { problem: string }> {
  const response = await fetch('/api/v1/session/oidc', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  if (!response.ok) return { problem: ((await response.json()) as Problem).detail };
  const { returnTo, ...person } = (await response.json()) as ProviderSignedIn;
  session.value = person;
  return { returnTo };
}

export async function signOut(): Promise<void> {
  await fetch('/api/v1/session', { method: 'DELETE' });
  leftProvider.value = session.value?.fromProvider ?? false;
  session.value = null;
}
