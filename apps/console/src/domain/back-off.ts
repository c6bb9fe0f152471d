/** How long after failed sign-ins the next one has to wait: by account, and by address. Pure. */

const FREE = { account: 5, address: 20 } as const;
const MOST_SECONDS = 900;
/** Failures are forgotten after this time without one, seconds. */
export const FORGET_SECONDS = 3_600;

/** @param failures in a row, the last one counted @returns seconds */
export function backOffSeconds(kind: keyof typeof FREE, failures: number): number {
  const beyond = failures - FREE[kind];
  return beyond < 0 ? 0 : Math.min(2 ** beyond, MOST_SECONDS);
}
