/** Reads a stream from a position on, in order, over reconnects, lost consumers and a stream that was made again. */
import type { StreamName } from '@plinth/contracts';
import type { JsMsg, NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import type { ConsumerSource } from './consumer-source.js';
import { type OrderedReading, readInOrder } from './ordered-reading.js';

export interface EventTailOptions {
  readonly stream: StreamName;
  readonly consumers: ConsumerSource;
  /**
   * Where to begin, asked at each begin.
   * @param created of the stream @param last position in it
   */
  readonly from: (created: string, last: number) => Promise<number> | number;
  /** Called one after the other; a rejection begins again. */
  readonly onMessage: (message: JsMsg) => Promise<void> | void;
  readonly logger: Logger;
}

/** Begins at once and goes on until closed. */
export function followStream(connection: NatsConnection, options: EventTailOptions): OrderedReading {
  const { stream, consumers, onMessage, logger } = options;
  const open = async () => {
    const position = (await consumers.positions()).find(({ name }) => name === stream);
    if (!position) throw new Error(`the bus has no stream ${stream}`);
    const from = Math.max(1, await options.from(position.created, position.lastSequence));
    return { bound: await consumers.from(stream, from), onMessage };
  };
  return readInOrder(connection, { open, fields: { stream }, logger });
}
