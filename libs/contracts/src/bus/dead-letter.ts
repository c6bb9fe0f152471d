/** `deadletter.<service>`: a message that a service could not take, kept as it came. */
import { ArrayMaxSize, IsString } from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { NestedEach } from '../nested.js';
import { Problem } from './problem.js';

/** Bytes of a body that are kept. */
export const DEAD_LETTER_BODY_BYTES = 64 * 1024;

export class DeadLetterBody {
  /** Subject of the message; the next fields are of the message as well. */
  @IsString()
  readonly subject!: string;

  @IsText(200)
  readonly stream!: string;

  @IsCount(1)
  readonly sequence!: number;

  @IsText(200)
  readonly eventId!: string;

  @IsString()
  readonly reason!: string;

  /** What breaks its contract. */
  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  readonly problems!: readonly Problem[];

  @IsCount(1)
  readonly attempts!: number;

  /** Length of the body. */
  @IsCount()
  readonly bytes!: number;

  /** Its first 64 KiB, base64. */
  @IsString()
  readonly body!: string;
}
