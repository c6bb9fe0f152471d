/** Keeps what leads to containers of other hosts, and its rules, as far as the kernel takes it. */
import type { KeptRules } from '../kept-rules.js';
import { isRefusal } from '../refusal.js';
import type { RemoteContainer } from './remote-containers.js';
import type { RemoteNetwork } from './remote-network.js';

export class KeptRemote {
  /** The kernel refused what containers of other hosts need, at the last attempt. */
  private isRefused = false;

  /** @param remote absent: they are not reached */
  constructor(
    private readonly remote: RemoteNetwork | undefined,
    private readonly rules: KeptRules,
  ) {}

  /** @throws what {@link isRefusal} knows */
  replace(part: string, containers: readonly RemoteContainer[]): void {
    this.remote?.replace(part, containers, (change) => this.rules.change(change));
    // The first container of another host.
    if (this.rules.isWritten && this.remote?.isWanting === true && !this.isRefused) {
      this.settle([]);
      this.rules.write();
    }
  }

  /** @param failed gets what could not be had: containers of this host have their network without it */
  settle(failed: string[]): string[] {
    this.isRefused = false;
    try {
      return this.remote?.settle() ?? [];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.isRefused = true;
      failed.push(`containers of other hosts are not reached: ${error.message}`);
      return [];
    }
  }

  /** @param isDue whether it is compared in any case */
  mend(isDue: boolean, failed: string[]): string[] {
    const { remote } = this;
    if (remote === undefined || !(isDue || remote.isBroken || remote.isWanting)) return [];
    const was = remote.isActive;
    const done = this.settle(failed);
    if (remote.isActive !== was) this.rules.write();
    return done;
  }
}
