/** Where the system is: `--nats`, NATS_URL, or the stack of this machine. */
import { homeDirectory, readStack } from '../stack/stack-file.js';
import { ClientError, connectPlinth, type PlinthClient } from './plinth-client.js';

export async function withClient<T>(natsUrl: string | undefined, work: (client: PlinthClient) => Promise<T>): Promise<T> {
  const url = natsUrl || process.env.NATS_URL || readStack(homeDirectory())?.natsUrl;
  if (!url) throw new ClientError('no system is known: set NATS_URL, or start one here with: plinth up --detach', 'unreachable');
  const client = await connectPlinth({ natsUrl: url });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
