/**
 * One try to install one image version on this machine: statement, manifest, archive, tree, then it becomes visible.
 * Each step relies only on what the step before has proven. The caller holds the image's lock.
 */
import {
  type DistributionFailureReason,
  type ImageManifest,
  type SignedStatement,
  validateManifest,
  VERSION_FILES,
} from '@plinth/contracts';
import { digestOf, MAX_STATEMENT_BYTES, type TrustedKeys, type Verdict } from '@plinth/image-trust';
import { join } from 'node:path';
import { downloadArchive } from './archive-download.js';
import { downloadDelta } from './delta-download.js';
import { countDownload, type DownloadCount } from './download-count.js';
import type { Extract } from './extraction-thread.js';
import { type DeltaFilling, fileFailure, type TreeProblem } from '@plinth/image-store';
import type { InstalledImages } from './installed-images.js';
import type { Pace } from './pace.js';
import { PeerFetch } from './peer-fetch.js';
import { fileUrl, readDocument, type Transfer } from './repository-client.js';
import type { Staging } from './staging.js';
import { combineFailures, done, failed, type Failure, type Outcome } from './domain/failure.js';
import { parseDocument } from './domain/json-document.js';
import { mayHeal } from './domain/retry-plan.js';
import { type DeltaBase, findDeltaBase } from './delta-base.js';
import type { Installed, ProducedImage, TryProgress } from './domain/installed.js';

export interface InstallationParts {
  readonly images: InstalledImages;
  readonly staging: Staging;
  readonly keys: TrustedKeys;
  readonly extract: Extract;
  /** Finds what is wrong with the tree in a version's directory. */
  readonly check: (directory: string, signal: AbortSignal) => Promise<readonly TreeProblem[]>;
  readonly stallMs: number;
  /** Rate of all that this machine receives; absent: no limit. */
  readonly pace?: Pace;
  /** Called often: with each part that has come. */
  readonly onProgress?: (progress: TryProgress) => void;
  /** Token for the repositories; undefined: none. */
  readonly token?: () => string | undefined;
}

export interface InstallationResult {
  readonly outcome: Outcome<Installed>;
  /** Bytes from the network in this try. */
  readonly downloadedBytes: number;
  /** Base URL of the version in the repository that it came from, or what was left of it. */
  readonly source?: string;
  /** `name@version` that the image was taken the difference from. */
  readonly deltaFrom?: string;
  /** Why the whole archive was fetched although another version of the image is here. */
  readonly deltaProblem?: string;
  /** Machines near by that have the version gave none of it, or were busy: where to fetch it is to be planned again. */
  readonly isUndecided?: true;
  /** Base URLs of machines that failed to serve it; busy ones are not among them. */
  readonly failedPeers?: readonly string[];
}

/** Proven documents of an image, and their exact bytes. */
interface Documents {
  readonly statement: SignedStatement;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly statementBytes: Buffer;
  /** Absent: the archive is in staging. Without a base all contents are there. */
  readonly delta?: { readonly base?: DeltaBase; readonly contents: string; readonly mountScript: Uint8Array };
}

/** A key that is missing or broken here is this machine's fault; everything else may be a repository's. */
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
  private source: string | undefined;
  private deltaFrom: string | undefined;
  private deltaProblem: string | undefined;
  private isUndecided = false;
  private isFromRepositories = false;
  private readonly transfer: Transfer;
  private readonly peers: PeerFetch;

  constructor(
    private readonly parts: InstallationParts,
    private readonly promotion: ProducedImage,
    /** Number of tries so far: each begins with another source. */
    private readonly turn: number,
    private readonly signal: AbortSignal,
  ) {
    const { stallMs, pace } = parts;
    this.transfer = { stallMs, signal, token: parts.token?.(), ...(pace && { pace }) };
    this.peers = new PeerFetch({
      ...{ transfer: this.transfer, staging: parts.images.layout.stagingOf(promotion) },
      clean: () => parts.staging.clean(promotion, true),
      readStatement: (source) => this.readStatement(source),
      readManifest,
      onBytes: (count) => {
        this.downloadedBytes += count;
      },
      onProgress: (progress) => parts.onProgress?.(progress),
    });
  }

  /** Leaves nothing in staging but a resumable download. @throws the signal's reason when it was aborted */
  async run(): Promise<InstallationResult> {
    try {
      const outcome = await this.install();
      const { downloadedBytes, source, deltaFrom, deltaProblem } = this;
      return {
        outcome,
        downloadedBytes,
        ...(source !== undefined && { source }),
        ...(deltaFrom !== undefined && { deltaFrom }),
        ...(deltaProblem !== undefined && { deltaProblem }),
        ...(this.isUndecided && { isUndecided: true as const }),
        ...(this.peers.failed.length > 0 && { failedPeers: this.peers.failed }),
      };
    } finally {
      await this.parts.staging.clean(this.promotion, true);
    }
  }

  private async install(): Promise<Outcome<Installed>> {
    const { promotion } = this;
    const standing = await this.parts.images.find(promotion);
    if (standing.state === 'damaged' && !standing.repairable)
      return failed(
        'manifest-mismatch',
        `there is a damaged copy of this version, remove it by hand: ${standing.problem}`,
      );
    if (standing.state === 'complete') {
      const { contentDigest, mountScriptDigest, unpackedBytes } = standing.installed;
      // A version is never replaced, because containers may run on it.
      if (contentDigest !== promotion.contentDigest) {
        return failed(
          'manifest-mismatch',
          `the copy here has the content ${contentDigest}, the promoted one is ${promotion.contentDigest}`,
        );
      }
      return done({ contentDigest, mountScriptDigest, unpackedBytes, downloadedBytes: 0 });
    }
    const room = await this.checkSpace();
    if (!room.ok) return room;
    const base = standing.state === 'absent' ? await findDeltaBase(this.parts.images, promotion) : undefined;
    const fetched = await this.fetch(base);
    if (!fetched.ok) return fetched;
    if (standing.state !== 'absent') return this.repair(fetched.value);
    const built = await this.build(fetched.value);
    if (built.ok || !fetched.value.delta) return built;
    // The base is damaged, for example, or the disk has no room for contents and tree: the archive needs neither.
    this.deltaFrom = undefined;
    this.deltaProblem = built.message;
    await this.parts.staging.clean(promotion, true);
    this.isFromRepositories = true;
    const whole = await this.fetch(undefined);
    return whole.ok ? this.build(whole.value) : whole;
  }

  private async checkSpace(): Promise<Outcome<void>> {
    const { images, staging } = this.parts;
    const [{ freeBytes }, there] = await Promise.all([images.space(), staging.downloadedBytes(this.promotion)]);
    const needed =
      Math.max(this.promotion.archiveBytes - there, 0) + Math.ceil(this.promotion.unpackedBytes * SPACE_MARGIN);
    return freeBytes >= needed
      ? done(undefined)
      : failed('no-space', `${freeBytes} bytes are free, archive and tree need about ${needed}`);
  }

  /** Downloads from the first source that has everything; a download continues from one source to the next. */
  private async fetch(base: DeltaBase | undefined): Promise<Outcome<Documents>> {
    const { sources } = this.promotion;
    const failures: Failure[] = [];
    const { near = [], far = [], mayWait = false } = (this.isFromRepositories ? undefined : this.promotion.peers) ?? {};
    const ofNear = await this.fetchFromPeers(near, base, failures);
    if (ofNear) return done(ofNear);
    // Contents and tree may need more room than there is; the archive of a repository needs less.
    const isOwnFault = failures.some(({ reason }) => isOfThisMachine(reason));
    if (near.length > 0 && mayWait && !isOwnFault) {
      this.isUndecided = true;
      return { ok: false, ...combineFailures(failures, mayHeal) };
    }
    for (const index of sources.keys()) {
      const source = sources[(index + this.turn) % sources.length] ?? '';
      const outcome = await this.fetchFrom(source, base);
      if (outcome.ok) {
        this.source = source;
        return outcome;
      }
      failures.push(outcome);
      // A failure of the disk is the same for every source.
      if (isOfThisMachine(outcome.reason)) return outcome;
    }
    const ofFar = await this.fetchFromPeers(far, base, failures);
    return ofFar ? done(ofFar) : { ok: false, ...combineFailures(failures, mayHeal) };
  }

  /** @param failures gets what went wrong with each */
  private async fetchFromPeers(
    sources: readonly string[],
    base: DeltaBase | undefined,
    failures: Failure[],
  ): Promise<Documents | undefined> {
    const found = await this.peers.fetch(sources, base, failures);
    if (!found) return undefined;
    this.source = found.source;
    const { manifest, manifestBytes, mountScript, contents } = found.contents;
    this.deltaFrom = found.base && `${found.base.image.name}@${found.base.image.version}`;
    return {
      ...{ statement: found.statement, manifest, manifestBytes, statementBytes: found.statementBytes },
      delta: { contents, mountScript, ...(found.base && { base: found.base }) },
    };
  }

  private async readStatement(
    source: string,
  ): Promise<Outcome<{ readonly statement: SignedStatement; readonly bytes: Buffer }>> {
    const url = fileUrl(source, VERSION_FILES.statement);
    const bytes = await readDocument(url, MAX_STATEMENT_BYTES, undefined, this.transfer);
    if (!bytes.ok) return bytes;
    const { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes } = this.promotion;
    const promoted = { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes };
    const signed = await this.parts.keys.verify(bytes.value, promoted);
    return signed.ok
      ? done({ statement: signed.statement, bytes: bytes.value })
      : failed(TRUST_FAILURES[signed.reason], signed.message);
  }

  private async fetchFrom(source: string, base: DeltaBase | undefined): Promise<Outcome<Documents>> {
    const { promotion, transfer } = this;
    const signed = await this.readStatement(source);
    if (!signed.ok) return signed;
    const { statement, bytes: statementBytes } = signed.value;
    const delta = base && (await this.fetchDelta(source, statement, statementBytes, base));
    if (delta) return done(delta);

    const manifestBytes = await readDocument(
      fileUrl(source, VERSION_FILES.manifest),
      statement.manifestBytes,
      statement.manifestBytes,
      transfer,
    );
    if (!manifestBytes.ok) return manifestBytes;
    const manifest = readManifest(manifestBytes.value, statement);
    if (!manifest.ok) return manifest;

    const part = this.parts.images.layout.download(promotion);
    const there = await this.parts.staging.downloadedBytes(promotion);
    const { onBytes } = this.counting(source, there, statement.archiveBytes);
    const archive = await downloadArchive(source, statement, part, transfer, onBytes);
    if (!archive.ok) return archive;
    return done({
      statement,
      manifest: manifest.value,
      manifestBytes: manifestBytes.value,
      statementBytes,
    });
  }

  private counting(source: string, from: number, ofBytes?: number): DownloadCount {
    const received = (count: number): void => void (this.downloadedBytes += count);
    return countDownload({ source, from, ofBytes }, received, this.parts.onProgress);
  }

  /** A delta saves bytes, and nothing depends on it: undefined when this source has none that unpacks. */
  private async fetchDelta(
    source: string,
    statement: SignedStatement,
    statementBytes: Buffer,
    base: DeltaBase,
  ): Promise<Documents | undefined> {
    const count = this.counting(source, 0);
    const unpacked = await downloadDelta({
      ...{ source, statement, transfer: this.transfer },
      base: base.image,
      baseDirectory: base.directory,
      baseManifest: base.manifest,
      staging: this.parts.images.layout.stagingOf(this.promotion),
      readManifest: (bytes) => readManifest(bytes, statement),
      onTotal: count.begin,
      onBytes: count.onBytes,
    });
    if (!unpacked.ok) {
      this.deltaProblem = unpacked.message;
      await this.parts.staging.clean(this.promotion, true);
      return undefined;
    }
    this.deltaFrom = `${base.image.name}@${base.image.version}`;
    const { manifest, manifestBytes, contents, mountScript } = unpacked.value;
    return { statement, manifest, manifestBytes, statementBytes, delta: { base, contents, mountScript } };
  }

  /** Fetches again what is damaged: only the files in question take the place of those that stand. */
  private async repair({ manifest, delta }: Documents): Promise<Outcome<Installed>> {
    const { images, staging, extract, check } = this.parts;
    const { promotion, signal } = this;
    const directory = images.layout.version(promotion);
    try {
      // The check also takes the names of damaged objects away: the fresh tree does not stand on them.
      const problems = await check(directory, signal);
      if (problems.length > 0) {
        const tree = await staging.freshTree(promotion);
        const objects = images.layout.objects;
        const filling = { directory: tree, manifest, objects };
        const extracted = delta
          ? await extract({ ...filling, ...deltaSources(delta) }, signal)
          : await staging.withDownload(promotion, (archive) => extract({ ...filling, archive }, signal));
        if (!extracted.ok) return extracted;
        await images.repair(promotion, tree, manifest.entries, problems);
        const [left] = await check(directory, signal);
        if (left) return failed('io-error', `${left.path} is still damaged after the repair: ${left.problem}`);
      }
      await images.clearDamage(promotion);
    } catch (error) {
      signal.throwIfAborted();
      return fileFailure(error, 'the image could not be repaired');
    }
    return done(this.installed(manifest));
  }

  private async build({ manifest, manifestBytes, statementBytes, delta }: Documents): Promise<Outcome<Installed>> {
    const { images, staging, extract } = this.parts;
    try {
      const directory = await staging.freshTree(this.promotion);
      const tree = { directory, manifest, objects: images.layout.objects };
      const extracted = delta
        ? await extract({ ...tree, ...deltaSources(delta) }, this.signal)
        : await staging.withDownload(this.promotion, (archive) => extract({ ...tree, archive }, this.signal));
      if (!extracted.ok) return extracted;
      await staging.complete(directory, manifestBytes, statementBytes);
      await images.publish(directory, this.promotion);
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

function deltaSources({
  base,
  contents,
  mountScript,
}: NonNullable<Documents['delta']>): Pick<DeltaFilling, 'base' | 'contents' | 'mountScript'> {
  const standing = base
    ? { root: join(base.directory, VERSION_FILES.root), entries: base.manifest.entries }
    : { root: contents, entries: [] };
  return { base: standing, contents, mountScript };
}

/** The same with every source. */
function isOfThisMachine(reason: DistributionFailureReason): boolean {
  return reason === 'no-space' || reason === 'io-error';
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
