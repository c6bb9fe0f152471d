/** Messages that no service could take: an admin reads them, sends their requests again, drops them. */
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Req, UseGuards } from '@nestjs/common';
import type { DeadLetterList } from '@plinth/contracts/console';
import { Accounts } from '../access/accounts.js';
import { ActBusError } from '../adapters/act-bus.js';
import { DeadLetters, type LetterOutcome } from '../adapters/dead-letters.js';
import { addressOf, ApiProblem, type SignedInRequest } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

const SEQUENCE = /^[1-9]\d{0,14}$/;

@Controller('api/v1/dead-letters')
@UseGuards(SignedInGuard)
export class DeadLettersController {
  constructor(
    @Inject(DeadLetters) private readonly letters: DeadLetters,
    @Inject(Accounts) private readonly accounts: Accounts,
  ) {}

  @Get()
  @Needs('dead-letters')
  async list(): Promise<DeadLetterList> {
    return { items: await answered(this.letters.list()) };
  }

  @Post(':sequence/retry')
  @HttpCode(204)
  @Needs('dead-letters')
  retry(@Param('sequence') sequence: string, @Req() request: SignedInRequest): Promise<void> {
    return this.act('dead-letter.retry', sequence, request, (number) =>
      this.letters.retry(number, request.person.name),
    );
  }

  @Delete(':sequence')
  @HttpCode(204)
  @Needs('dead-letters')
  drop(@Param('sequence') sequence: string, @Req() request: SignedInRequest): Promise<void> {
    return this.act('dead-letter.drop', sequence, request, (number) => this.letters.drop(number));
  }

  private async act(
    act: string,
    sequence: string,
    request: SignedInRequest,
    work: (number: number) => Promise<LetterOutcome>,
  ): Promise<void> {
    if (!SEQUENCE.test(sequence)) throw new ApiProblem('letter-not-found', 'there is no such dead letter');
    const outcome = await answered(work(Number(sequence)));
    if (!outcome.ok) throw new ApiProblem(outcome.reason, outcome.message);
    await this.accounts.record(request.person, addressOf(request), act, sequence, outcome.message);
  }
}

async function answered<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ActBusError) throw new ApiProblem('unavailable', error.message);
    throw error;
  }
}
