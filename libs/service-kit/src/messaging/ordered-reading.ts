/**
 * Reads from consumers without acknowledgement, in order: over reconnects, lost consumers and gaps it opens the next
 * one.
 */
import type { ConsumerMessages, JsMsg, NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import type { BoundConsumer } from './consumer-source.js';
import { describe } from './delivery-policy.js';
import { endWhenLost } from './end-when-lost.js';

export interface OrderedReading {
  /** Why nothing is read at present; undefined while it is read. */
  problem(): string | undefined;
  close(): Promise<void>;
}

/** One consumer, and what takes its messages, one after the other. A rejection opens the next one. */
export interface Opened {
  readonly bound: BoundConsumer;
  readonly onMessage: (message: JsMsg) => Promise<void> | void;
}

export interface ReadingOptions {
  /** Called for each consumer, also the first. */
  readonly open: () => Promise<Opened>;
  /** Of the log line about an interruption. */
  readonly fields: object;
  readonly logger?: Logger | undefined;
}

const LONGEST_PAUSE_MS = 5_000;

/** Begins at once and goes on until closed. */
export function readInOrder(connection: NatsConnection, { open, fields, logger }: ReadingOptions): OrderedReading {
  let stopped = false;
  let problem: string | undefined = 'not open yet';
  let current: ConsumerMessages | undefined;

  const once = async (): Promise<void> => {
    const { bound, onMessage } = await open();
    const messages = await bound.consumer.consume({
      max_messages: 256,
      idle_heartbeat: 5_000,
      ...(bound.blind ? { bind: true } : {}),
    });
    current = messages;
    problem = undefined;
    if (stopped) messages.stop();
    void endWhenLost(messages, true);
    let expected = 0;
    for await (const message of messages) {
      // Without acknowledgements a gap means lost messages: begin again.
      if (message.info.deliverySequence !== ++expected) break;
      await onMessage(message);
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
        logger?.warn({ err: error, ...fields }, 'reading was interrupted; it begins again');
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
