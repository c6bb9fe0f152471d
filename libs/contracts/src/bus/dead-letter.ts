/** `deadletter.<service>`: a message that a service could not take, kept as it came. */
import { ArrayMaxSize, IsInt, IsString, MaxLength, Min } from 'class-validator';
import { NestedEach } from '../nested.js';
import { Problem } from './problem.js';

/** Bytes of a body that are kept. */
export const DEAD_LETTER_BODY_BYTES = 64 * 1024;

export class DeadLetterBody {
  /** Subject of the message; the next fields are of the message as well. */
  @IsString()
  readonly subject!: string;

  @IsString()
  @MaxLength(200)
  readonly stream!: string;

  @IsInt()
  @Min(1)
  readonly sequence!: number;

  @IsString()
  @MaxLength(200)
  readonly eventId!: string;

  @IsString()
  readonly reason!: string;

  /** What breaks its contract. */
  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  readonly problems!: readonly Problem[];

  @IsInt()
  @Min(1)
  readonly attempts!: number;

  /** Length of the body. */
  @IsInt()
  @Min(0)
  readonly bytes!: number;

  /** Its first 64 KiB, base64. */
  @IsString()
  readonly body!: string;
}
