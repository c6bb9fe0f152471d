/** Hashes and compares passwords, two at once at the most: each takes 32 MiB and a quarter of a second. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import {
  formatPassword,
  HASH_BYTES,
  memoryOf,
  parsePassword,
  PRESENT_COST,
  type ScryptCost,
} from '../domain/password.js';

const AT_ONCE = 2;
const MOST_WAITING = 16;

export class Passwords {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** @returns PHC string; undefined: too many wait */
  async hash(password: string): Promise<string | undefined> {
    const salt = randomBytes(16);
    const hash = await this.derive(password, salt, PRESENT_COST);
    return hash && formatPassword({ cost: PRESENT_COST, salt, hash });
  }

  /**
   * Takes the same time whether there is such an account or not.
   * @param stored PHC string; null: there is none
   * @returns undefined: too many wait
   */
  async isRight(password: string, stored: string | null): Promise<boolean | undefined> {
    const known = stored === null ? undefined : parsePassword(stored);
    const { cost, salt, hash } = known ?? {
      cost: PRESENT_COST,
      salt: Buffer.alloc(16),
      hash: Buffer.alloc(HASH_BYTES),
    };
    const derived = await this.derive(password, salt, cost);
    return derived && timingSafeEqual(derived, hash) && known !== undefined;
  }

  private async derive(password: string, salt: Buffer, cost: ScryptCost): Promise<Buffer | undefined> {
    if (this.running >= AT_ONCE) {
      if (this.waiting.length >= MOST_WAITING) return undefined;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    } else this.running++;
    try {
      const { ln, r, p } = cost;
      return await new Promise<Buffer>((resolve, reject) =>
        scrypt(password, salt, HASH_BYTES, { N: 2 ** ln, r, p, maxmem: memoryOf(cost) }, (error, key) =>
          error ? reject(error) : resolve(key),
        ),
      );
    } finally {
      const next = this.waiting.shift();
      // The place is handed to the next one.
      if (next) next();
      else this.running--;
    }
  }
}
