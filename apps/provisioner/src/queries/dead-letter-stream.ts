/** The provisioner's access to the stream of dead letters. */
import { type DeadLetterRef, STREAMS } from '@plinth/contracts';
import { type NatsConnection, NatsError } from 'nats';

const NO_MESSAGE = 10_037;

/**
 * Takes one letter off the stream; safe to repeat.
 * @returns false when it is gone, or another letter has its sequence number
 */
export async function dropDeadLetter(connection: NatsConnection, { sequence, id }: DeadLetterRef): Promise<boolean> {
  const { streams } = await connection.jetstreamManager();
  try {
    const message = await streams.getMessage(STREAMS.deadLetters.name, { seq: sequence });
    if (message.header.get('ce-id') !== id) return false;
    return await streams.deleteMessage(STREAMS.deadLetters.name, sequence);
  } catch (error) {
    if (error instanceof NatsError && (error.api_error?.err_code === NO_MESSAGE || error.api_error?.code === 404))
      return false;
    throw error;
  }
}
