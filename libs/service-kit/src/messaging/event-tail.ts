/** Reads a stream from a position on, in order, over reconnects, lost consumers and a stream that was made again. */
import type { StreamName } from '@plinth/contracts';
import type { ConsumerMessages, JsMsg, NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import type { ConsumerSource } from './consumer-source.js';
import { describe } from './delivery-policy.js';
import { endWhenLost } from './end-when-lost.js';

export interface EventTail {
  /** Why nothing is read at present; undefined while it is read. */
  problem(): string | undefined;
  close(): Promise<void>;
}

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

const LONGEST_PAUSE_MS = 5_000;

/** Begins at once and goes on until closed. */
export function followStream(connection: NatsConnection, options: EventTailOptions): EventTail {
  const { stream, consumers, logger } = options;
  let stopped = false;
  let problem: string | undefined = 'not open yet';
  let current: ConsumerMessages | undefined;

  const once = async (): Promise<void> => {
    const position = (await consumers.positions()).find(({ name }) => name === stream);
    if (!position) throw new Error(`the bus has no stream ${stream}`);
    const from = Math.max(1, await options.from(position.created, position.lastSequence));
    const { consumer, blind } = await consumers.from(stream, from);
    const messages = await consumer.consume({
      max_messages: 256,
      idle_heartbeat: 5_000,
      ...(blind ? { bind: true } : {}),
    });
    current = messages;
    problem = undefined;
    if (stopped) messages.stop();
    void endWhenLost(messages, true);
    let expected = 0;
    for await (const message of messages) {
      // Without acknowledgements a gap means lost messages: begin again.
      if (message.info.deliverySequence !== ++expected) break;
      await options.onMessage(message);
    }
    messages.stop();
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !stopped && !connection.isClosed(); failures++) {
      try {
        await once();
        failures = 0;
      } catch (error) {
        current?.stop();
        if (stopped || connection.isClosed()) return;
        problem = describe(error);
        logger.warn({ err: error, stream }, 'reading was interrupted; it begins again');
      }
      if (!stopped)
        await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** failures, LONGEST_PAUSE_MS)));
    }
  };
  const running = run();

  return {
    problem: () => problem,
    close: async () => {
      stopped = true;
      current?.stop();
      await running;
    },
  };
}
