/** Reads the present value of every subject below a filter, then follows the changes: for desired state and status. */
import type { StreamName } from '@plinth/contracts';
import type { ConsumerMessages, JsMsg, NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import { type ConsumerSource, OwnConsumers } from './consumer-source.js';
import { describe } from './delivery-policy.js';
import { endWhenLost } from './end-when-lost.js';

export interface LastValueWatch {
  /** Why nothing is watched at present; undefined while it is watched. */
  problem(): string | undefined;
  close(): Promise<void>;
}

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
export function watchLastValues(connection: NatsConnection, options: LastValueOptions): LastValueWatch {
  let stopped = false;
  let problem: string | undefined = 'not open yet';
  let current: ConsumerMessages | undefined;
  const consumers = options.consumers ?? new OwnConsumers(connection);

  const once = async (): Promise<void> => {
    const { consumer, pending, blind } = await consumers.lastValues(options.stream, options.subject);
    if (pending === 0) options.onCaughtUp?.();
    const messages = await consumer.consume({
      max_messages: 256,
      idle_heartbeat: 5_000,
      ...(blind ? { bind: true } : {}),
    });
    current = messages;
    problem = undefined;
    if (stopped) messages.stop();
    void endWhenLost(messages, true);
    let seen = 0;
    let expected = 0;
    for await (const message of messages) {
      // Without acknowledgements a gap means lost messages: begin again.
      if (message.info.deliverySequence !== ++expected) break;
      await options.onValue(message.subject, message.data, message);
      if (++seen === pending) options.onCaughtUp?.();
    }
    messages.stop();
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !stopped && !connection.isClosed(); failures++) {
      try {
        await once();
        failures = 0;
      } catch (error) {
        if (stopped || connection.isClosed()) return;
        problem = describe(error);
        options.logger?.warn({ err: error, subject: options.subject }, 'watch interrupted; it begins again');
      }
      if (!stopped) await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** failures, 5_000)));
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
