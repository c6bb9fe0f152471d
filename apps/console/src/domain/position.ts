/** The id of a message of a stream: a place in the bus's stream of statuses, from which any copy goes on. Pure. */

export interface Position {
  /** Names the bus's stream: one that was made again has another. */
  readonly epoch: string;
  readonly sequence: number;
  /** When the message was sent, milliseconds after 1970. */
  readonly at: number;
}

/**
 * The bus deletes the status of a removed container after a day, and nothing shows that it was there: positions are
 * valid for less.
 */
export const POSITION_VALID_MS = 3_600_000;
const FORM = /^([0-9a-f]{8})-(\d{1,15})-(\d{1,15})$/;

export function formatPosition({ epoch, sequence, at }: Position): string {
  return `${epoch}-${sequence}-${at}`;
}

/** @returns undefined when it is none of ours */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, sequence, at] = FORM.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, sequence: Number(sequence), at: Number(at) };
}

/**
 * Whether a stream can go on from there; else its reader gets everything again.
 * @param floor of what changed before it, not all is known any more
 */
export function canResume(from: Position | undefined, now: Position, floor: number): from is Position {
  return (
    from !== undefined &&
    from.epoch === now.epoch &&
    from.sequence >= floor &&
    from.sequence <= now.sequence &&
    now.at - from.at < POSITION_VALID_MS
  );
}
