/** Where the system is and which key logs in: `--nats`, NATS_URL and NATS_NKEY_FILE, or the stack of this machine. */
import { type BusCredentials, credentialsFrom } from '@plinth/service-kit/messaging';
import { hostname, userInfo } from 'node:os';
import { homeDirectory, readStack } from '@plinth/stack';
import { ClientError, connectPlinth, type PlinthClient } from '@plinth/client';

export interface BusAddress {
  readonly natsUrl: string;
  readonly credentials: BusCredentials;
}

/** @throws ClientError `unreachable` when no system is known */
export function busAddress(natsUrl: string | undefined): BusAddress {
  const stack = readStack(homeDirectory());
  const url = natsUrl || process.env.NATS_URL || stack?.natsUrl;
  if (!url)
    throw new ClientError(
      'no system is known: set NATS_URL, or start one here with: plinth up --detach',
      'unreachable',
    );
  const given = credentialsFrom(process.env);
  // The stack's own key is for the stack's own server only.
  const own =
    given.nkeyFile === undefined && given.credsFile === undefined && url === stack?.natsUrl
      ? (stack.nkeyFile ?? undefined)
      : given.nkeyFile;
  return { natsUrl: url, credentials: { ...given, nkeyFile: own } };
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
