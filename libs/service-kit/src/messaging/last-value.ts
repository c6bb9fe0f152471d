/** Deletes the last value of one subject. */
import { streamOf } from '@plinth/contracts';
import { type NatsConnection, NatsError } from 'nats';

const NO_MESSAGE_FOUND = 10_037;
/** The answer to the deletion of a message that is gone already. */
const DELETE_FAILED = 10_057;

/**
 * Deletes the value that the subject has now, but none that follows. By its place: the cost of a purge by subject grows
 * with the stream, seen with nats-server 2.9.
 * @param isDue looked up between the two; a value that is published after it stays
 */
export async function deleteLastValue(
  connection: NatsConnection,
  subject: string,
  isDue: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<void> {
  const jsm = await connection.jetstreamManager();
  const stream = streamOf(subject);
  try {
    const { seq } = await jsm.streams.getMessage(stream, { last_by_subj: subject });
    if (await isDue()) await jsm.streams.deleteMessage(stream, seq, false);
  } catch (error) {
    const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
    if (code !== NO_MESSAGE_FOUND && code !== DELETE_FAILED) throw error;
  }
}
