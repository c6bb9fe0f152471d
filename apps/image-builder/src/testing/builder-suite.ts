/**
 * The basis of every test of the service: real NATS, PostgreSQL and containers, and the facts that were published.
 * Needs root.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { FactLog } from '@plinth/client';
import { CATALOGUE, decodePayload, type ImageBuildStatus, type ImageRejected, SUBJECTS } from '@plinth/contracts';
import { instanceName } from '@plinth/container-runtime';
import { connectNats, decodeEnvelope, EventPublisher } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import {
  makeSmallRootfs,
  ServiceProcess,
  type SmallRootfs,
  startNats,
  startPostgres,
  type TestServer,
} from '@plinth/testkit';

/** Less than what jest gives a test, so that a failure names what did not come. */
const PATIENCE_SECONDS = 600;

export interface Fact {
  readonly subject: string;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly data: Record<string, unknown>;
}

export class BuilderSuite {
  readonly key = generateKeyPairSync('ed25519');
  readonly token = randomBytes(32).toString('base64url');
  private readonly log = new FactLog<Fact>();
  readonly statuses: ImageBuildStatus[] = [];
  scratch = '';
  connection!: NatsConnection;
  publisher!: EventPublisher;
  rootfs!: SmallRootfs;
  nats!: TestServer;
  postgres!: TestServer;
  private readonly running: ServiceProcess[] = [];
  private kept: ServiceProcess | undefined;

  /** Registers the hooks before and after the tests of a file. */
  static install(): BuilderSuite {
    const suite = new BuilderSuite();
    beforeAll(() => suite.open());
    afterEach(() => suite.endBuilders());
    afterAll(() => suite.close());
    return suite;
  }

  get facts(): readonly Fact[] {
    return this.log.all;
  }

  get builderDirectory(): string {
    return join(this.scratch, 'builder');
  }

  repository(...path: string[]): string {
    return join(this.scratch, 'repository', ...path);
  }

  private async open(): Promise<void> {
    this.scratch = mkdtempSync(join(tmpdir(), 'plinth-builder-'));
    mkdirSync(join(this.scratch, 'sources'));
    this.rootfs = makeSmallRootfs(this.scratch, join(this.scratch, 'sources', 'small.tar.gz'));
    writeFileSync(join(this.scratch, 'key.pem'), this.key.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
    writeFileSync(join(this.scratch, 'download.token'), `${this.token}\nolder-token\n`, { mode: 0o600 });
    [this.nats, this.postgres] = await Promise.all([startNats(), startPostgres()]);
    this.connection = await connectNats({ url: this.nats.url, name: 'test' });
    this.publisher = new EventPublisher(this.connection, 'test');
    this.connection.subscribe('image.>', {
      callback: (_, message) => this.keep(message.subject, message.data, message.headers),
    });
    this.connection.subscribe('status.image.>', { callback: (_, message) => this.statuses.push(message.json()) });
    await this.connection.flush();
  }

  private async endBuilders(): Promise<void> {
    await Promise.all(this.running.splice(0).map((builder) => builder.end('SIGKILL')));
  }

  private async close(): Promise<void> {
    await this.endShared();
    await this.connection?.close();
    await this.nats?.stop();
    await this.postgres?.stop();
    this.removeRuntimeDirectories();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  /** Builders that are killed leave them for the next of their id. Never what is in the views: there is none any more. */
  private removeRuntimeDirectories(): void {
    const work = join(this.builderDirectory, 'work');
    for (const id of existsSync(work) ? readdirSync(work) : []) {
      const own = join('/run/plinth', instanceName(join(work, id, '.containers')));
      for (const part of existsSync(own) ? readdirSync(own) : []) rmdirSync(join(own, part));
      if (existsSync(own)) rmdirSync(own);
    }
  }

  /** Every fact has to conform to its contract. */
  private keep(subject: string, data: Uint8Array, headers: Parameters<typeof decodeEnvelope>[0]): void {
    if (subject.endsWith('.requested')) return;
    const contract = CATALOGUE.find((candidate) => candidate.subject === subject);
    if (!contract) throw new Error(`${subject} is in no contract`);
    const decoded = decodePayload(contract.payload, data);
    if (!decoded.ok) throw new Error(`${subject}: ${JSON.stringify(decoded.problems)}`);
    const { correlationId, causationId } = decodeEnvelope(headers, { subject, position: '', storedAtMs: 0 });
    this.log.add({ subject, correlationId, causationId, data: decoded.value as Record<string, unknown> });
  }

  /** The builder of tests that want nothing special of theirs: a start is more computing than a small build. */
  async shared(): Promise<ServiceProcess> {
    if (!this.kept || this.kept.hasEnded) this.kept = await this.launch('builder-1', {});
    return this.kept;
  }

  private async endShared(): Promise<void> {
    await this.kept?.end('SIGKILL');
    this.kept = undefined;
  }

  /** A builder of the test's own, which ends with the test; no other runs meanwhile but those that it starts. */
  async start(id = 'builder-1', more: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    await this.endShared();
    const builder = await this.launch(id, more);
    this.running.push(builder);
    return builder;
  }

  private launch(id: string, more: Readonly<Record<string, string>>): Promise<ServiceProcess> {
    return ServiceProcess.start('image-builder', {
      NATS_URL: this.nats.url,
      DATABASE_URL: this.postgres.url,
      PLINTH_SERVICE_ID: id,
      PLINTH_BUILDER_DIR: this.builderDirectory,
      PLINTH_REPOSITORY_DIR: this.repository(),
      PLINTH_SIGNING_KEY: join(this.scratch, 'key.pem'),
      PLINTH_PUBLIC_URL: 'http://builder.test/base/',
      PLINTH_DOWNLOAD_TOKEN_FILE: join(this.scratch, 'download.token'),
      PLINTH_SOURCES_DIR: join(this.scratch, 'sources'),
      ...more,
    });
  }

  /** Address at which it serves downloads. */
  downloadsOf(builder: ServiceProcess): string {
    return String(builder.log.find(({ msg }) => msg === 'downloads are served')?.['url']);
  }

  newName(): string {
    return `image-${randomBytes(4).toString('hex')}`;
  }

  /** A recipe on the small root file system. */
  recipe(name: string, more = ''): string {
    return `name: ${name}\nfrom: { rootfs: { path: /small.tar.gz, sha256: ${this.rootfs.sha256} } }\n${more}`;
  }

  /** @returns the id of the request, the correlation id of all facts about it */
  async ask(subject: string, data: object): Promise<string> {
    const id = randomBytes(16).toString('hex');
    await this.publisher.publishUnchecked(subject, data, { id });
    return id;
  }

  build(text: string): Promise<string> {
    return this.ask(SUBJECTS.imageRequested, { recipe: text });
  }

  of(requestId: string): readonly string[] {
    return this.facts.filter((fact) => fact.correlationId === requestId).map((fact) => fact.subject);
  }

  /** The first fact of one of these subjects that answers the request. */
  async answer(requestId: string, subjects: readonly string[], seconds = PATIENCE_SECONDS): Promise<Fact> {
    const fits = (fact: Fact): boolean => fact.correlationId === requestId && subjects.includes(fact.subject);
    const found = await this.log.within(fits, seconds * 1000);
    if (found) return found;
    throw new Error(`no ${subjects.join(' or ')} for ${requestId}; there were ${this.of(requestId).join(', ')}`);
  }

  /** Resolves when every message that was published has been handled, and none is in progress. */
  async allHandled(): Promise<void> {
    const { consumers } = await this.connection.jetstreamManager();
    await this.until(async () => {
      const found = await consumers.list('PLINTH_EVENTS').next();
      return found.length > 0 && found.every(({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0);
    }, 'all events are handled');
  }

  async until(holds: () => boolean | Promise<boolean>, what: string, seconds = PATIENCE_SECONDS): Promise<void> {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(20)) if (await holds()) return;
    throw new Error(`not within ${seconds} s: ${what}`);
  }

  async tested(requestId: string): Promise<Fact> {
    const fact = await this.answer(requestId, [SUBJECTS.imageTested, SUBJECTS.imageRejected]);
    if (fact.subject !== SUBJECTS.imageTested) throw new Error(JSON.stringify(fact.data));
    return fact;
  }

  async rejected(requestId: string): Promise<ImageRejected> {
    const fact = await this.answer(requestId, [SUBJECTS.imageTested, SUBJECTS.imageRejected]);
    expect(fact.subject).toBe(SUBJECTS.imageRejected);
    return fact.data as unknown as ImageRejected;
  }

  /** Expects that no file, mount or cgroup of a build is left. */
  expectNothingLeft(): void {
    for (const id of readdirSync(join(this.builderDirectory, 'work'))) {
      const own = join(this.builderDirectory, 'work', id);
      expect(readdirSync(own).filter((name) => !name.startsWith('.'))).toEqual([]);
      expect(readdirSync(join(own, '.containers', 'bundles'))).toEqual([]);
    }
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(this.scratch);
    const cgroups = readdirSync('/sys/fs/cgroup', { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? readdirSync(join('/sys/fs/cgroup', entry.name)) : [entry.name],
    );
    // Other builders may be at work on this machine.
    const ours = new Set(this.facts.map(({ data }) => `plinth-build-${String(data['buildId'])}`));
    expect(cgroups.filter((name) => ours.has(name))).toEqual([]);
  }
}
