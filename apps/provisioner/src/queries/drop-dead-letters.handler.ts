import { Controller, Inject } from '@nestjs/common';
import { type DropDeadLetters, type DroppedDeadLetters, QUERIES, type QueryReply } from '@plinth/contracts';
import { CONNECTION, type Logger, LOGGER, OnQuery } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { dropDeadLetter } from './dead-letter-stream.js';

/** Operators read dead letters by themselves; only the provisioner may take one off the bus. */
@Controller()
export class DropDeadLettersHandler {
  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnQuery(QUERIES.dropDeadLetters)
  async handle({ letters }: DropDeadLetters): Promise<QueryReply<DroppedDeadLetters>> {
    const dropped: number[] = [];
    for (const letter of letters) if (await dropDeadLetter(this.connection, letter)) dropped.push(letter.sequence);
    this.logger.info({ dropped }, 'dead letters dropped');
    return {
      ok: true,
      data: {
        dropped,
        missing: letters.map(({ sequence }) => sequence).filter((sequence) => !dropped.includes(sequence)),
      },
    };
  }
}
