/**
 * Opens consumers for services that may not create them: a user that may could take over another's consumer, or have
 * the server deliver to any subject. The subject, which the server's access rules fix, names the asker; the body is
 * empty.
 */
import {
  BUILDER_CONSUMERS,
  consoleConsumers,
  consoleEventConsumer,
  consoleEventConsumers,
  consoleStatusConsumer,
  consoleStatusConsumers,
  CONSUMER_REQUESTS,
  consumedBy,
  decodePayload,
  DESIRED_IMAGES,
  desiredConsumer,
  desiredOfHost,
  EventConsumersQuery,
  hostImageConsumers,
  hostImagesConsumer,
  NAME_PATTERN,
  type OpenedConsumers,
  type Party,
  type QueryReply,
  STATUSES,
  storageImagesConsumer,
  streamOf,
  STREAMS,
} from '@plinth/contracts';
import type { JetStreamManager, Msg, NatsConnection, Subscription } from 'nats';
import type { Logger } from '../logging.js';
import { addConsumerFrom, addLastValueConsumer, ensureDurable, streamPositions } from './consumer-source.js';
import { InFlight } from './in-flight.js';

export class ConsumerKeeper {
  private readonly inFlight = new InFlight(32);
  private subscription: Subscription | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.subscription = this.connection.subscribe(CONSUMER_REQUESTS, { queue: 'consumer-keeper' });
    this.serve(this.subscription).catch((error: unknown) =>
      this.logger.error({ err: error }, 'consumers are no longer opened'),
    );
  }

  async close(): Promise<void> {
    this.subscription?.unsubscribe();
    await this.inFlight.settled();
  }

  private async serve(subscription: Subscription): Promise<void> {
    for await (const message of subscription) {
      await this.inFlight.start(message.subject, async () => {
        message.respond(JSON.stringify(await this.answer(message)));
      });
    }
  }

  private async answer({ subject, data }: Msg): Promise<QueryReply<OpenedConsumers>> {
    try {
      const jsm = await this.connection.jetstreamManager();
      const pending = await this.open(jsm, subject, data);
      if (pending === undefined)
        return { ok: false, reason: 'unknown-subject', message: `no service has consumers under ${subject}` };
      return { ok: true, data: { pending, streams: await streamPositions(jsm) } };
    } catch (error) {
      this.logger.warn({ err: error, subject }, 'consumers were not opened');
      return {
        ok: false,
        reason: 'unavailable',
        message: error instanceof Error ? error.message.slice(0, 500) : 'unknown',
      };
    }
  }

  /** @returns values that wait for a watcher; undefined for a subject that belongs to no service */
  private async open(jsm: JetStreamManager, subject: string, body: Uint8Array): Promise<number | undefined> {
    const [, kind, name = '', ...rest] = subject.split('.');
    if (subject === BUILDER_CONSUMERS) return this.durables(jsm, 'image-builder', 'image-builder');
    if (!NAME_PATTERN.test(name)) return undefined;
    if (subject === hostImageConsumers(name)) return this.watch(jsm, DESIRED_IMAGES, hostImagesConsumer(name));
    if (subject === consoleConsumers(name)) return 0;
    if (subject === consoleStatusConsumers(name)) return this.watch(jsm, STATUSES, consoleStatusConsumer(name));
    if (subject === consoleEventConsumers(name)) return this.tail(jsm, body, consoleEventConsumer(name));
    if (rest.length > 0) return undefined;
    if (kind === 'storage') return this.watch(jsm, DESIRED_IMAGES, storageImagesConsumer(name));
    if (kind !== 'host') return undefined;
    return this.watch(jsm, desiredOfHost(name), desiredConsumer(name));
  }

  private async watch(jsm: JetStreamManager, filter: string, name: string): Promise<number> {
    return (await addLastValueConsumer(jsm, streamOf(filter), filter, name)).num_pending;
  }

  private async tail(jsm: JetStreamManager, body: Uint8Array, name: string): Promise<number> {
    const asked = decodePayload(EventConsumersQuery, body);
    if (!asked.ok) throw new Error(asked.problems.map(({ path, message }) => `${path}: ${message}`).join('; '));
    const stream = STREAMS.events.name;
    const from = asked.value.from ?? (await jsm.streams.info(stream)).state.last_seq + 1;
    return (await addConsumerFrom(jsm, stream, from, name)).num_pending;
  }

  private async durables(jsm: JetStreamManager, group: string, party: Party): Promise<number> {
    for (const contract of consumedBy(party)) await ensureDurable(jsm, group, contract.subject);
    return 0;
  }
}
