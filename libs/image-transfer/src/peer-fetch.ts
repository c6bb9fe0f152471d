/** A version from any of several machines that have it as a tree: what differs from a base, else everything. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ImageManifest, SignedStatement } from '@plinth/contracts';
import type { DeltaBase } from './delta-base.js';
import type { Failure, Outcome } from './domain/failure.js';
import type { TryProgress } from './domain/installed.js';
import { type PeerContents, PeerDownload } from './peer-download.js';
import type { Transfer } from './repository-client.js';

export interface PeerFetchParts {
  readonly transfer: Transfer;
  /** The version's staging directory. */
  readonly staging: string;
  /** Empties it, but for a download that is continued. */
  readonly clean: () => Promise<void>;
  /** Fetches and verifies the statement of one machine. */
  readonly readStatement: (
    source: string,
  ) => Promise<Outcome<{ readonly statement: SignedStatement; readonly bytes: Buffer }>>;
  readonly readManifest: (bytes: Buffer, statement: SignedStatement) => Outcome<ImageManifest>;
  readonly onBytes: (count: number) => void;
  /** With each part that has come; bytes of contents. */
  readonly onProgress?: (progress: TryProgress) => void;
}

export interface PeerVersion {
  readonly contents: PeerContents;
  readonly statement: SignedStatement;
  readonly statementBytes: Buffer;
  /** The one that sent the last of it. */
  readonly source: string;
  /** Absent: all contents are there. */
  readonly base?: DeltaBase;
}

/** Least pause before busy machines are asked for the rest. */
const BUSY_MS = 500;

export class PeerFetch {
  /** Base URLs of machines that failed; busy ones are not among them. */
  readonly failed: string[] = [];

  constructor(private readonly parts: PeerFetchParts) {}

  /**
   * @param sources base URLs of the version, the preferred ones first
   * @param failures gets what went wrong with each
   * @returns undefined when none has all of it
   */
  async fetch(
    sources: readonly string[],
    base: DeltaBase | undefined,
    failures: Failure[],
  ): Promise<PeerVersion | undefined> {
    for (const start of base ? [base, undefined] : [undefined]) {
      const found = await this.fetchAgainst(start, sources, failures);
      if (typeof found !== 'string') return found;
      await this.parts.clean();
      // Others are served the difference: this machine is, too, when it comes again.
      if (found === 'busy') return undefined;
    }
    return undefined;
  }

  private async fetchAgainst(
    base: DeltaBase | undefined,
    sources: readonly string[],
    failures: Failure[],
  ): Promise<PeerVersion | 'busy' | 'none'> {
    const { transfer } = this.parts;
    let download: PeerDownload | undefined;
    for (let progress = 0, progressAt = performance.now(); ;) {
      let isBusy = false;
      for (const source of sources.filter((url) => !this.failed.includes(url))) {
        const signed = await this.parts.readStatement(source);
        if (!signed.ok) {
          failures.push(signed);
          this.failed.push(source);
          continue;
        }
        const { statement, bytes: statementBytes } = signed.value;
        download ??= this.begin(statement, base);
        const outcome = await download.from(source);
        if (outcome === 'busy') isBusy = true;
        else if (outcome.ok)
          return { contents: outcome.value, statement, statementBytes, source, ...(base && { base }) };
        else {
          failures.push(outcome);
          // It is the same with every machine.
          if (outcome.reason === 'no-space' || outcome.reason === 'io-error') return 'none';
          // It may lack the version to start from.
          if (base === undefined || outcome.reason !== 'repository-refused') this.failed.push(source);
        }
      }
      if (!isBusy) return 'none';
      if (download && download.progress > progress) {
        progress = download.progress;
        progressAt = performance.now();
      }
      // What was unpacked is worth waiting for the rest.
      if (progress === 0 || performance.now() - progressAt > transfer.stallMs) return 'busy';
      await delay(BUSY_MS * (1 + Math.random()), undefined, { signal: transfer.signal });
    }
  }

  private begin(statement: SignedStatement, base: DeltaBase | undefined): PeerDownload {
    const { transfer, staging, readManifest, onBytes, onProgress } = this.parts;
    return new PeerDownload({
      ...{ statement, transfer, staging, onBytes, ...(base && { base }), ...(onProgress && { onProgress }) },
      readManifest: (bytes) => readManifest(bytes, statement),
    });
  }
}
