/**
 * Networks of containers that end to be started again at once: the namespace stays open from before the end of one run
 * until the next, so its interface, addresses, routes and rules need not be made again. Nothing is stored: when this
 * process ends, so do they.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import { isQuiet, mayChangeItsNetwork, ownFirstId } from '../spec/kept-network.js';
import { closeNamespaces, type OwnNamespaces } from '../kernel/user-namespace.js';

/** From the removal of one run to the next start: both are steps of one restart. */
const KEPT_MS = 5_000;
const SOCKETS_BYTES = 4096;

interface Kept {
  readonly namespaces: OwnNamespaces;
  readonly firstId: number | undefined;
  /** sockstat and sockstat6 of this network. */
  readonly sockets: readonly number[];
  expiry?: NodeJS.Timeout;
}

export class KeptNetworks {
  private readonly kept = new Map<string, Kept>();

  /**
   * Before the first process ends. Keeps none whose container could have changed it.
   * @param isRunning whether the pid is still that process
   */
  keep(id: string, pid: number, isRunning: () => boolean): void {
    this.drop(id);
    const opened: number[] = [];
    const open = (name: string): number => {
      const descriptor = openSync(`/proc/${pid}/${name}`, 'r');
      opened.push(descriptor);
      return descriptor;
    };
    try {
      const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
      const firstId = ownFirstId(read('uid_map'));
      const sockets = [open('net/sockstat'), open('net/sockstat6')];
      const network = open('ns/net');
      const namespaces = firstId === undefined ? { network } : { network, users: open('ns/user') };
      if (!mayChangeItsNetwork(read('status')) && isRunning()) {
        this.kept.set(id, { namespaces, firstId, sockets });
        return;
      }
    } catch (error) {
      // It has ended, or the machine has no IPv6.
      if (!hasCode(error, 'ENOENT', 'ESRCH')) {
        opened.forEach(closeSync);
        throw error;
      }
    }
    opened.forEach(closeSync);
  }

  has(id: string): boolean {
    return this.kept.has(id);
  }

  /** The run has ended; what is not taken soon is dropped. */
  expireLater(id: string): void {
    const kept = this.kept.get(id);
    if (kept === undefined) return;
    clearTimeout(kept.expiry);
    kept.expiry = setTimeout(() => this.drop(id), KEPT_MS);
    kept.expiry.unref();
  }

  /**
   * For the next run, which closes it; undefined: it gets a new one, because its ids are others now, or connections of
   * the last run are still ending, whose ports a new process could not bind.
   */
  take(id: string, firstId: number | undefined): OwnNamespaces | undefined {
    const kept = this.kept.get(id);
    if (kept === undefined) return undefined;
    if (kept.firstId !== firstId || !isQuiet(kept.sockets.map(textOf).join('\n'))) {
      this.drop(id);
      return undefined;
    }
    this.forget(id, kept);
    return kept.namespaces;
  }

  drop(id: string): void {
    const kept = this.kept.get(id);
    if (kept === undefined) return;
    this.forget(id, kept);
    closeNamespaces(kept.namespaces);
  }

  close(): void {
    for (const id of [...this.kept.keys()]) this.drop(id);
  }

  private forget(id: string, kept: Kept): void {
    clearTimeout(kept.expiry);
    this.kept.delete(id);
    kept.sockets.forEach((descriptor) => closeSync(descriptor));
  }
}

/** From the beginning, as it is now. */
function textOf(descriptor: number): string {
  const buffer = Buffer.alloc(SOCKETS_BYTES);
  return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, SOCKETS_BYTES, 0));
}
