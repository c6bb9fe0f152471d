/**
 * What this process knows of the hosts that get containers: read now and then, and as they were when it last placed
 * something on them. It is only good for choosing which hosts are asked for room; whether they have it is decided under
 * their locks.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { type Logger, LOGGER } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import type { ImageReach } from '../images/domain/image-resolution.js';
import type { CandidateHost } from './domain/placement.js';
import type { HostNames } from './domain/host-bits.js';
import { Places } from './domain/places.js';
import { HeldImages } from './held-images.js';
import { imagesOnHosts, readyHosts } from './placement.store.js';

/** Reading a host costs some 10 µs; it may take two hundredths of the time. */
const AGE_MS_PER_HOST = 0.5;
const LEAST_AGE_MS = 250;
/** Which images run where is read less often, and takes a two-hundredth of the time. */
const LEAST_WARM_AGE_MS = 30_000;
const WARM_SHARE = 200;

@Injectable()
export class HostDirectory {
  private known: CandidateHost[] = [];
  /** Where each is among them. */
  private indexes = new Map<string, number>();
  private labelled = new Places([]);
  private imageReach: ImageReach = { nodes: new Set(), isAnywhere: false };
  private givesAddresses = false;
  private readAt = Number.NEGATIVE_INFINITY;
  private reading: Promise<void> | undefined;
  private readonly images: HeldImages;
  /** Hosts by image. */
  private running = new Map<string, Set<string>>();
  private warmUntil = Number.NEGATIVE_INFINITY;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.images = new HeldImages(source.manager, (error) =>
      this.logger.warn({ err: error }, 'what hosts hold in their stores could not be read'),
    );
  }

  /** In the order of their names. */
  get hosts(): readonly CandidateHost[] {
    return this.known;
  }

  /** Where their labels let containers be. */
  get places(): Places {
    return this.labelled;
  }

  /** Where they can have images from. */
  get reach(): ImageReach {
    return this.imageReach;
  }

  /** Whether containers on one of them have an address of their own. */
  get hasNetwork(): boolean {
    return this.givesAddresses;
  }

  /** Hosts on which containers of an image ran when it was last read, or that got some since; `name@version`. */
  readonly warm = (image: string): ReadonlySet<string> | undefined => this.running.get(image);

  /** Hosts with an image in stores of their own, as they last reported it; `name@version`. */
  readonly held = (image: string): HostNames => this.images.of(image);

  noteWarm(image: string, host: string): void {
    const hosts = this.running.get(image);
    if (hosts) hosts.add(host);
    else this.running.set(image, new Set([host]));
  }

  /** Waits for the first reading only; a later one is made beside the work. */
  async refresh(): Promise<void> {
    if (this.isRecent) return;
    const reading = this.readAgain();
    if (this.readAt === Number.NEGATIVE_INFINITY) return reading;
    reading.catch((error: unknown) =>
      this.logger.warn({ err: error }, 'the hosts could not be read; placements go on with what is known'),
    );
  }

  /** Waits until nothing that is known is older than it may be; never in a transaction. */
  async current(): Promise<void> {
    if (!this.isRecent) await this.readAgain();
  }

  /** All hosts, as just read. */
  replace(hosts: readonly CandidateHost[]): void {
    this.known = [...hosts];
    this.indexes = new Map(hosts.map(({ host }, index) => [host, index]));
    this.labelled = new Places(hosts);
    const attached = hosts.filter(({ hasStore }) => !hasStore);
    this.imageReach = {
      nodes: new Set(attached.flatMap(({ storageNodes }) => storageNodes)),
      isAnywhere: attached.length < hosts.length,
    };
    this.givesAddresses = hosts.some(({ network }) => network);
    this.readAt = performance.now();
  }

  /** Hosts as they are since something was placed on them. */
  note(hosts: Iterable<CandidateHost>): void {
    for (const host of hosts) {
      const index = this.indexes.get(host.host);
      if (index !== undefined) this.known[index] = host;
    }
  }

  private get isRecent(): boolean {
    return performance.now() - this.readAt < Math.max(LEAST_AGE_MS, this.known.length * AGE_MS_PER_HOST);
  }

  private readAgain(): Promise<void> {
    this.reading ??= this.read().finally(() => (this.reading = undefined));
    return this.reading;
  }

  private async read(): Promise<void> {
    this.replace(await readyHosts(this.source.manager, this.config.PLINTH_CPU_OVERCOMMIT));
    this.images.refresh();
    if (performance.now() < this.warmUntil) return;
    const begin = performance.now();
    this.warmUntil = Number.POSITIVE_INFINITY;
    imagesOnHosts(this.source.manager)
      .then((running) => (this.running = running))
      .catch((error: unknown) => this.logger.warn({ err: error }, 'which images run where could not be read'))
      .finally(() => {
        const took = performance.now() - begin;
        this.warmUntil = performance.now() + Math.max(LEAST_WARM_AGE_MS, took * WARM_SHARE);
      });
  }
}
