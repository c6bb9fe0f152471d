/** Reads the present value of every subject below a filter, then follows the changes: for desired state and status. */
import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg, type NatsConnection } from 'nats';
import type { Logger } from '../logging.js';

export interface LastValueWatch {
  close(): Promise<void>;
}

export interface LastValueOptions {
  readonly stream: string;
  readonly subject: string;
  /** Called one after the other; must not reject. */
  readonly onValue: (subject: string, body: Uint8Array, message: JsMsg) => Promise<void> | void;
  /** Every present value was given to onValue; again after each time the watch had to begin anew. */
  readonly onCaughtUp?: () => void;
  readonly logger?: Logger;
}

/** Begins at once and goes on over reconnects and lost consumers until closed; after an interruption all present values come again. */
export function watchLastValues(connection: NatsConnection, options: LastValueOptions): LastValueWatch {
  let stopped = false;
  let current: ConsumerMessages | undefined;

  const once = async (): Promise<void> => {
    const jetstream = connection.jetstream();
    const jsm = await connection.jetstreamManager();
    const info = await jsm.consumers.add(options.stream, {
      filter_subject: options.subject,
      deliver_policy: DeliverPolicy.LastPerSubject,
      ack_policy: AckPolicy.None,
      inactive_threshold: 60 * 1e9,
      mem_storage: true,
      num_replicas: 1,
    });
    const pending = info.num_pending;
    if (pending === 0) options.onCaughtUp?.();
    const consumer = await jetstream.consumers.get(options.stream, info.name);
    const messages = await consumer.consume({ max_messages: 256, idle_heartbeat: 5_000 });
    current = messages;
    if (stopped) messages.stop();
    void endWhenLost(messages);
    let seen = 0;
    let expected = 0;
    for await (const message of messages) {
      // Without acknowledgements a gap means lost messages: begin anew.
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
        options.logger?.warn({ err: error, subject: options.subject }, 'watch interrupted; it begins anew');
      }
      if (!stopped) await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** failures, 5_000)));
    }
  };
  const running = run();

  return {
    close: async () => {
      stopped = true;
      current?.stop();
      await running;
    },
  };
}

async function endWhenLost(messages: ConsumerMessages): Promise<void> {
  for await (const status of await messages.status()) {
    if (['consumer_deleted', 'consumer_not_found', 'stream_not_found', 'heartbeats_missed'].includes(status.type)) messages.stop();
  }
}
