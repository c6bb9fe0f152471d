/** Stored passwords: scrypt (RFC 7914) as a PHC string, `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`. Pure. */

export interface ScryptCost {
  /** log2 of N. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

export interface StoredPassword {
  readonly cost: ScryptCost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** 32 MiB, a quarter of a second of one core. */
export const PRESENT_COST: ScryptCost = { ln: 15, r: 8, p: 3 };
export const HASH_BYTES = 32;
const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{43})$/;
/** A row that somebody changed must not take all memory. */
const MOST: ScryptCost = { ln: 17, r: 8, p: 10 };

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

export function formatPassword({ cost: { ln, r, p }, salt, hash }: StoredPassword): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** @returns undefined when it is none */
export function parsePassword(text: string): StoredPassword | undefined {
  const [, ln, r, p, salt = '', hash = ''] = FORM.exec(text) ?? [];
  if (ln === undefined) return undefined;
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  if (cost.ln > MOST.ln || cost.r > MOST.r || cost.p > MOST.p || cost.ln < 1 || cost.r < 1 || cost.p < 1)
    return undefined;
  return { cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

/** Bytes that Node.js must allow for it: 128·N·r, and as much again. */
export function memoryOf({ ln, r }: ScryptCost): number {
  return 2 * 128 * 2 ** ln * r;
}
