/** Reads the present value of every subject below a filter, then follows the changes: for desired state and status. */
import type { StreamName } from '@plinth/contracts';
import type { JsMsg, NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import { type ConsumerSource, OwnConsumers } from './consumer-source.js';
import { type OrderedReading, readInOrder } from './ordered-reading.js';

export interface LastValueOptions {
  readonly stream: StreamName;
  readonly subject: string;
  /** Absent: it makes its consumer itself. */
  readonly consumers?: ConsumerSource;
  /** Called one after the other; must not reject. */
  readonly onValue: (subject: string, body: Uint8Array, message: JsMsg) => Promise<void> | void;
  /** Every present value was given to onValue; called again each time the watch had to begin again. */
  readonly onCaughtUp?: () => void;
  readonly logger?: Logger;
}

/**
 * Begins at once and goes on over reconnects and lost consumers until closed; after an interruption all present values
 * come again.
 */
export function watchLastValues(connection: NatsConnection, options: LastValueOptions): OrderedReading {
  const { stream, subject, consumers = new OwnConsumers(connection), onValue, onCaughtUp, logger } = options;
  const open = async () => {
    const bound = await consumers.lastValues(stream, subject);
    if (bound.pending === 0) onCaughtUp?.();
    let seen = 0;
    const onMessage = async (message: JsMsg): Promise<void> => {
      await onValue(message.subject, message.data, message);
      if (++seen === bound.pending) onCaughtUp?.();
    };
    return { bound, onMessage };
  };
  return readInOrder(connection, { open, fields: { subject }, logger });
}
