/**
 * Where the system is and which key logs in. The first that is there: `--nats`; the context that PLINTH_CONTEXT names;
 * NATS_URL; the stack in PLINTH_HOME; the context in use; the stack beside the launcher.
 */
import { type BusCredentials, credentialsFrom } from '@plinth/service-kit/messaging';
import { hostname, userInfo } from 'node:os';
import { homeDirectory, readStack } from '@plinth/stack';
import { askedContext, type Context, currentContext } from './contexts.js';
import { ClientError, connectPlinth, type PlinthClient } from '@plinth/client';

export interface BusAddress {
  readonly natsUrl: string;
  readonly credentials: BusCredentials;
}

/** @throws ClientError `unreachable` when no system is known */
export function busAddress(natsUrl: string | undefined): BusAddress {
  const stack = readStack(homeDirectory());
  const context = natsUrl ? undefined : contextOf(stack !== undefined);
  const url = natsUrl || context?.server || process.env.NATS_URL || stack?.natsUrl;
  if (!url)
    throw new ClientError(
      'no system is known: set NATS_URL, or start one here with: plinth up --detach',
      'unreachable',
    );
  if (context) {
    const given = credentialsFrom(process.env);
    const { nkeyFile, tlsCaFile: tlsCa = given.tlsCa } = context;
    const login = nkeyFile === undefined ? given : { ...given, nkeyFile, credsFile: undefined };
    return { natsUrl: url, credentials: { ...login, tlsCa } };
  }
  const given = credentialsFrom(process.env);
  // The stack's own key is for the stack's own server only.
  const own =
    given.nkeyFile === undefined && given.credsFile === undefined && url === stack?.natsUrl
      ? (stack.nkeyFile ?? undefined)
      : given.nkeyFile;
  return { natsUrl: url, credentials: { ...given, nkeyFile: own } };
}

/** @param isStackHere a stack was found; where PLINTH_HOME names it, it is meant */
function contextOf(isStackHere: boolean): Context | undefined {
  const { NATS_URL, PLINTH_HOME } = process.env;
  return askedContext() ?? (NATS_URL || (PLINTH_HOME && isStackHere) ? undefined : currentContext());
}

export async function withClient<T>(
  natsUrl: string | undefined,
  work: (client: PlinthClient) => Promise<T>,
): Promise<T> {
  const client = await connectPlinth({ ...busAddress(natsUrl), actor: actorOf(process.env) });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Who runs the tool: requests carry it, for the record of who did what. PLINTH_ACTOR names somebody else. */
function actorOf({ PLINTH_ACTOR, SUDO_USER }: NodeJS.ProcessEnv): string {
  return (PLINTH_ACTOR || `${SUDO_USER || userName()}@${hostname()}`).slice(0, 200);
}

/** A user without an entry in passwd(5) has a number only. */
function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `uid-${process.getuid?.() ?? '?'}`;
    throw error;
  }
}
