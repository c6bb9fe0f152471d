/**
 * One try to install one image version on this node: statement, manifest, archive, tree, then it becomes visible.
 * Each step relies only on what the step before has proven. The caller holds the image's lock.
 */
import {
  type DistributionFailureReason,
  type ImageManifest,
  type ImagePromoted,
  type SignedStatement,
  validateManifest,
  VERSION_FILES,
} from '@plinth/contracts';
import { digestOf, MAX_STATEMENT_BYTES, type TrustedKeys, type Verdict } from '@plinth/image-trust';
import { downloadArchive } from '../adapters/archive-download.js';
import type { Extract } from '../adapters/extraction-thread.js';
import { fileFailure, type TreeProblem } from '@plinth/image-store';
import type { MasterRepository } from '../adapters/master-repository.js';
import { fileUrl, readDocument, type Transfer } from '../adapters/repository-client.js';
import type { Staging } from '../adapters/staging.js';
import { combineFailures, done, failed, type Failure, type Outcome } from '../domain/failure.js';
import { parseDocument } from '../domain/json-document.js';
import { mayHeal } from '../domain/retry-plan.js';
import type { Installed } from '../domain/wanted-image.js';

export interface InstallationParts {
  readonly masters: MasterRepository;
  readonly staging: Staging;
  readonly keys: TrustedKeys;
  readonly extract: Extract;
  /** Finds what is wrong with the tree in a version's directory. */
  readonly check: (directory: string, signal: AbortSignal) => Promise<readonly TreeProblem[]>;
  readonly stallMs: number;
  /** Token for the repositories; undefined: none. */
  readonly token?: () => string | undefined;
}

export interface InstallationResult {
  readonly outcome: Outcome<Installed>;
  /** Bytes from the network in this try. */
  readonly downloadedBytes: number;
}

/** Proven documents of an image, and their exact bytes. */
interface Documents {
  readonly statement: SignedStatement;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly statementBytes: Buffer;
}

/** A key that is missing or broken here is the node's fault; everything else may be a repository's. */
const TRUST_FAILURES: Readonly<Record<(Verdict & { readonly ok: false })['reason'], DistributionFailureReason>> = {
  'bad-statement': 'bad-signature',
  'bad-signature': 'bad-signature',
  'other-image': 'bad-signature',
  'unknown-key': 'unknown-key',
  'broken-key': 'unknown-key',
};

/** Space beyond the contents: inodes, directories, the rest of the last block of each file. */
const SPACE_MARGIN = 1.1;

export class Installation {
  private downloadedBytes = 0;
  private readonly transfer: Transfer;

  constructor(
    private readonly parts: InstallationParts,
    private readonly promotion: ImagePromoted,
    /** Number of tries so far: each begins with another source. */
    private readonly turn: number,
    private readonly signal: AbortSignal,
  ) {
    this.transfer = { stallMs: parts.stallMs, signal, token: parts.token?.() };
  }

  /** Leaves nothing in staging but a resumable download. @throws the signal's reason when it was aborted */
  async run(): Promise<InstallationResult> {
    try {
      const outcome = await this.install();
      return { outcome, downloadedBytes: this.downloadedBytes };
    } finally {
      await this.parts.staging.clean(this.promotion, true);
    }
  }

  private async install(): Promise<Outcome<Installed>> {
    const { promotion } = this;
    const standing = await this.parts.masters.find(promotion);
    if (standing.state === 'damaged' && !standing.repairable)
      return failed(
        'manifest-mismatch',
        `there is a damaged master of this version, remove it by hand: ${standing.problem}`,
      );
    if (standing.state === 'complete') {
      const { contentDigest, mountScriptDigest, unpackedBytes } = standing.master;
      // A version is never replaced, because containers may run on it.
      if (contentDigest !== promotion.contentDigest) {
        return failed(
          'manifest-mismatch',
          `the master here has the content ${contentDigest}, the promoted one is ${promotion.contentDigest}`,
        );
      }
      return done({ contentDigest, mountScriptDigest, unpackedBytes, downloadedBytes: 0 });
    }
    const room = await this.checkSpace();
    if (!room.ok) return room;
    const fetched = await this.fetch();
    if (!fetched.ok) return fetched;
    return standing.state === 'absent' ? this.build(fetched.value) : this.repair(fetched.value);
  }

  private async checkSpace(): Promise<Outcome<void>> {
    const { masters, staging } = this.parts;
    const [{ freeBytes }, there] = await Promise.all([masters.space(), staging.downloadedBytes(this.promotion)]);
    const needed =
      Math.max(this.promotion.archiveBytes - there, 0) + Math.ceil(this.promotion.unpackedBytes * SPACE_MARGIN);
    return freeBytes >= needed
      ? done(undefined)
      : failed('no-space', `${freeBytes} bytes are free, archive and tree need about ${needed}`);
  }

  /** Downloads from the first source that has everything; a download continues from one source to the next. */
  private async fetch(): Promise<Outcome<Documents>> {
    const { sources } = this.promotion;
    const failures: Failure[] = [];
    for (const index of sources.keys()) {
      const source = sources[(index + this.turn) % sources.length] ?? '';
      const outcome = await this.fetchFrom(source);
      if (outcome.ok) return outcome;
      failures.push(outcome);
      // A failure of the disk is the same for every source.
      if (outcome.reason === 'no-space' || outcome.reason === 'io-error') break;
    }
    return { ok: false, ...combineFailures(failures, mayHeal) };
  }

  private async fetchFrom(source: string): Promise<Outcome<Documents>> {
    const { promotion, transfer } = this;
    const statementBytes = await readDocument(
      fileUrl(source, VERSION_FILES.statement),
      MAX_STATEMENT_BYTES,
      undefined,
      transfer,
    );
    if (!statementBytes.ok) return statementBytes;
    const { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes } = promotion;
    const promoted = { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes };
    const signed = await this.parts.keys.verify(statementBytes.value, promoted);
    if (!signed.ok) return failed(TRUST_FAILURES[signed.reason], signed.message);
    const { statement } = signed;

    const manifestBytes = await readDocument(
      fileUrl(source, VERSION_FILES.manifest),
      statement.manifestBytes,
      statement.manifestBytes,
      transfer,
    );
    if (!manifestBytes.ok) return manifestBytes;
    const manifest = readManifest(manifestBytes.value, statement);
    if (!manifest.ok) return manifest;

    const part = this.parts.masters.layout.download(promotion);
    const archive = await downloadArchive(source, statement, part, transfer, (count) => {
      this.downloadedBytes += count;
    });
    if (!archive.ok) return archive;
    return done({
      statement,
      manifest: manifest.value,
      manifestBytes: manifestBytes.value,
      statementBytes: statementBytes.value,
    });
  }

  /** Fetches again what is damaged: only the files in question take the place of those that stand. */
  private async repair({ manifest }: Documents): Promise<Outcome<Installed>> {
    const { masters, staging, extract, check } = this.parts;
    const { promotion, signal } = this;
    const directory = masters.layout.version(promotion);
    try {
      // The check also takes the names of damaged objects away: the fresh tree does not stand on them.
      const problems = await check(directory, signal);
      if (problems.length > 0) {
        const tree = await staging.freshTree(promotion);
        const objects = masters.layout.objects;
        const extracted = await staging.withDownload(promotion, (archive) =>
          extract({ archive, directory: tree, manifest, objects }, signal),
        );
        if (!extracted.ok) return extracted;
        await masters.repair(promotion, tree, manifest.entries, problems);
        const [left] = await check(directory, signal);
        if (left) return failed('io-error', `${left.path} is still damaged after the repair: ${left.problem}`);
      }
      await masters.clearDamage(promotion);
    } catch (error) {
      signal.throwIfAborted();
      return fileFailure(error, 'the image could not be repaired');
    }
    return done(this.installed(manifest));
  }

  private async build({ manifest, manifestBytes, statementBytes }: Documents): Promise<Outcome<Installed>> {
    const { masters, staging, extract } = this.parts;
    try {
      const directory = await staging.freshTree(this.promotion);
      const extracted = await staging.withDownload(this.promotion, (archive) =>
        extract({ archive, directory, manifest, objects: masters.layout.objects }, this.signal),
      );
      if (!extracted.ok) return extracted;
      await staging.complete(directory, manifestBytes, statementBytes);
      await masters.publish(directory, this.promotion);
    } catch (error) {
      this.signal.throwIfAborted();
      return fileFailure(error, 'the image could not be moved to its place');
    }
    return done(this.installed(manifest));
  }

  private installed({ contentDigest, mountScript, totals }: ImageManifest): Installed {
    return {
      contentDigest,
      mountScriptDigest: mountScript.digest,
      unpackedBytes: totals.bytes,
      downloadedBytes: this.downloadedBytes,
    };
  }
}

function readManifest(bytes: Buffer, statement: SignedStatement): Outcome<ImageManifest> {
  const digest = digestOf(bytes);
  if (digest !== statement.manifestDigest)
    return failed('digest-mismatch', `the manifest has the digest ${digest}, signed is ${statement.manifestDigest}`);
  const checked = validateManifest(parseDocument(bytes), digestOf);
  if (!checked.ok) return failed('bad-manifest', checked.problems.join('; '));
  const { name, version, contentDigest } = checked.manifest;
  if (name !== statement.name || version !== statement.version || contentDigest !== statement.contentDigest) {
    return failed('bad-manifest', `the manifest is of ${name}@${version} with the content ${contentDigest}`);
  }
  return done(checked.manifest);
}
