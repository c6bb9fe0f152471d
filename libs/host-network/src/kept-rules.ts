/** Keeps the rules in the kernel as the containers need them, also when another program has changed them. */
import type { Change, Element } from './nft/elements.js';
import { NftError } from './nft/nftables.js';
import type { RuleTable } from './nft/rule-table.js';

export class KeptRules {
  /** @param elements all that the table must hold */
  constructor(
    private readonly table: RuleTable,
    private readonly elements: () => readonly Element[],
  ) {}

  get isWritten(): boolean {
    return this.table.isWritten;
  }

  /** Whether they are gone that this process has written. */
  get areGone(): boolean {
    return this.table.isWritten && this.table.isGone;
  }

  /** @throws NftError */
  write(): void {
    this.table.write(this.elements());
  }

  /** @param change that {@link elements} has already @throws NftError */
  change(change: Change): void {
    if (this.table.isWritten) {
      try {
        this.table.change(change);
        return;
      } catch (error) {
        // Another program has changed it: the whole table is written below.
        if (!(error instanceof NftError)) throw error;
      }
    }
    this.write();
  }

  /**
   * @param isDue whether all elements may be compared
   * @returns what was done
   * @throws NftError
   */
  mend(isDue: boolean): string[] {
    if (this.table.isGone) {
      this.write();
      return ['the table of rules was gone, and is written again'];
    }
    if (!this.table.isSuspect || !isDue || this.table.matches()) return [];
    this.write();
    return ['the table of rules was changed by another program, and is written again'];
  }
}
