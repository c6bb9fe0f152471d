/** Dead letters, by the key of admins. */
import { Inject, Injectable } from '@nestjs/common';
import {
  ClientError,
  type DeadLetter,
  deadLetter,
  deadLetters,
  dropDeadLetters,
  PlinthClient,
  replayDeadLetter,
  replayRefusal,
} from '@plinth/client';
import type { DeadLetterEntry } from '@plinth/contracts/console';
import type { ProblemReason } from '../domain/problem.js';
import { ActBus } from './act-bus.js';

export type LetterOutcome =
  | { readonly ok: true; readonly message: string }
  | { readonly ok: false; readonly reason: ProblemReason; readonly message: string };

const MOST = 200;
const REASONS: Readonly<Record<string, ProblemReason>> = {
  'letter-not-found': 'letter-not-found',
  'not-replayable': 'not-replayable',
  'no-answer': 'no-answer',
  'not-stored': 'unavailable',
};

@Injectable()
export class DeadLetters {
  constructor(@Inject(ActBus) private readonly bus: ActBus) {}

  /** The newest. */
  async list(): Promise<DeadLetterEntry[]> {
    const letters = await deadLetters(await this.client(), {}, MOST);
    return letters.map((letter) => {
      const { sequence, service, storedAt, subject, eventId, reason, attempts } = letter;
      const notReplayable = replayRefusal(letter) ?? null;
      return { sequence, service, storedAt, subject, eventId, reason, attempts, notReplayable };
    });
  }

  /** @param actor who asks */
  retry(sequence: number, actor: string): Promise<LetterOutcome> {
    return this.with(sequence, async (letter, client) => `request ${await replayDeadLetter(client, letter)}`, actor);
  }

  drop(sequence: number): Promise<LetterOutcome> {
    return this.with(sequence, async (letter, client) => {
      const { missing } = await dropDeadLetters(client, [letter]);
      return missing.length > 0 ? 'it was gone' : letter.subject;
    });
  }

  private async with(
    sequence: number,
    work: (letter: DeadLetter, client: PlinthClient) => Promise<string>,
    actor?: string,
  ): Promise<LetterOutcome> {
    const client = await this.client(actor);
    try {
      return { ok: true, message: await work(await deadLetter(client, sequence), client) };
    } catch (error) {
      const reason = error instanceof ClientError ? REASONS[error.reason] : undefined;
      if (!(error instanceof ClientError) || reason === undefined) throw error;
      return { ok: false, reason, message: error.message };
    }
  }

  private async client(actor?: string): Promise<PlinthClient> {
    return new PlinthClient(await this.bus.connection('admin'), actor);
  }
}
