import type { ConsumerMessages } from 'nats';

/**
 * Ends the iterator of a consumer that was deleted or vanished with the server's store, so that its owner opens it
 * again.
 * @param orSilent also when it missed heartbeats: where nothing but them shows that it is gone
 */
export async function endWhenLost(messages: ConsumerMessages, orSilent: boolean): Promise<void> {
  const endings = [
    'consumer_deleted',
    'consumer_not_found',
    'stream_not_found',
    ...(orSilent ? ['heartbeats_missed'] : []),
  ];
  for await (const status of await messages.status()) if (endings.includes(status.type)) messages.stop();
}
