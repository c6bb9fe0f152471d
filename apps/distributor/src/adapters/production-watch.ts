/** Receives what is in production from the bus. */
import { Inject, Injectable } from '@nestjs/common';
import { decodePayload, DESIRED_IMAGES, desiredImage, ProductionImage, STREAMS } from '@plinth/contracts';
import {
  CONNECTION,
  CONSUMERS,
  type ConsumerSource,
  type OrderedReading,
  type Logger,
  LOGGER,
  watchLastValues,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';

@Injectable()
export class ProductionWatch {
  private watch: OrderedReading | undefined;

  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(CONSUMERS) private readonly consumers: ConsumerSource,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @param onImage called one after the other; every version comes again after an interruption */
  start(onImage: (image: ProductionImage) => Promise<void>): void {
    this.watch = watchLastValues(this.connection, {
      consumers: this.consumers,
      stream: STREAMS.desired.name,
      subject: DESIRED_IMAGES,
      logger: this.logger,
      onCaughtUp: () => this.logger.info('what is in production is read'),
      onValue: async (subject, body) => {
        const decoded = decodePayload(ProductionImage, body, 'ignored');
        if (decoded.ok && subject === desiredImage(decoded.value.name, decoded.value.version))
          return onImage(decoded.value);
        this.logger.error({ subject, problems: decoded.ok ? [] : decoded.problems }, 'a version was ignored');
      },
    });
  }

  /** Why nothing is received; undefined while it is, and where another distributor of the node receives. */
  problem(): string | undefined {
    return this.watch?.problem();
  }

  async stop(): Promise<void> {
    await this.watch?.close();
    this.watch = undefined;
  }
}
