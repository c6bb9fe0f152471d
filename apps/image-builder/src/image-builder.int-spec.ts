/** The compiled service on real NATS, PostgreSQL and containers; needs root. */
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  archiveFileName,
  CATALOGUE,
  decodePayload,
  type ImageBuildStatus,
  type ImageManifest,
  type ImageRejected,
  imageStatus,
  QUERIES,
  signedText,
  type SignedStatement,
  SUBJECTS,
  validateManifest,
} from '@plinth/contracts';
import { connectNats, decodeEnvelope, EventPublisher } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { BuilderProcess, compileBuilder } from './testing/builder-process.js';
import { type Server, startNats, startPostgres } from './testing/servers.js';
import { rawTar } from './testing/raw-tar.js';
import { makeSmallRootfs, type SmallRootfs } from './testing/small-rootfs.js';

interface Fact {
  readonly subject: string;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly data: Record<string, unknown>;
}

const MIRROR = 'http://deb.debian.org/debian';
let scratch: string;
let nats: Server;
let postgres: Server;
let connection: NatsConnection;
let publisher: EventPublisher;
let rootfs: SmallRootfs;
let facts: Fact[];
let statuses: ImageBuildStatus[];
const running: BuilderProcess[] = [];
const key = generateKeyPairSync('ed25519');

const builderDirectory = (): string => join(scratch, 'builder');
const repository = (...path: string[]): string => join(scratch, 'repository', ...path);

beforeAll(async () => {
  compileBuilder();
  scratch = mkdtempSync(join(tmpdir(), 'plinth-builder-'));
  // The database's own user has to reach its directory.
  execFileSync('chmod', ['711', scratch]);
  mkdirSync(join(scratch, 'sources'));
  rootfs = makeSmallRootfs(scratch, join(scratch, 'sources', 'small.tar.gz'));
  writeFileSync(join(scratch, 'key.pem'), key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  [nats, postgres] = await Promise.all([startNats(join(scratch, 'nats')), startPostgres(join(scratch, 'postgres'))]);
  connection = await connectNats({ url: nats.url, name: 'test' });
  publisher = new EventPublisher(connection, 'test');
  facts = [];
  statuses = [];
  connection.subscribe('image.>', { callback: (_, message) => keep(message.subject, message.data, message.headers) });
  connection.subscribe('status.image.>', { callback: (_, message) => statuses.push(message.json()) });
  await connection.flush();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((builder) => builder.end('SIGKILL')));
});

afterAll(async () => {
  await connection?.close();
  await nats?.stop();
  await postgres?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

function keep(subject: string, data: Uint8Array, headers: Parameters<typeof decodeEnvelope>[0]): void {
  if (subject.endsWith('.requested')) return;
  const contract = CATALOGUE.find((candidate) => candidate.subject === subject);
  if (!contract) throw new Error(`${subject} is in no contract`);
  const decoded = decodePayload(contract.payload, data);
  if (!decoded.ok) throw new Error(`${subject}: ${JSON.stringify(decoded.problems)}`);
  const { correlationId, causationId } = decodeEnvelope(headers, { subject, position: '', storedAtMs: 0 });
  facts.push({ subject, correlationId, causationId, data: decoded.value as Record<string, unknown> });
}

async function start(id = 'builder-1', more: Readonly<Record<string, string>> = {}): Promise<BuilderProcess> {
  const builder = await BuilderProcess.start({
    NATS_URL: nats.url,
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: id,
    PLINTH_BUILDER_DIR: builderDirectory(),
    PLINTH_REPOSITORY_DIR: repository(),
    PLINTH_SIGNING_KEY: join(scratch, 'key.pem'),
    PLINTH_PUBLIC_URL: 'http://builder.test/base/',
    PLINTH_SOURCES_DIR: join(scratch, 'sources'),
    ...more,
  });
  running.push(builder);
  return builder;
}

const newName = (): string => `image-${randomBytes(4).toString('hex')}`;
const recipe = (name: string, more = ''): string => `name: ${name}\nfrom: { rootfs: { path: /small.tar.gz, sha256: ${rootfs.sha256} } }\n${more}`;

async function ask(subject: string, data: object): Promise<string> {
  const id = randomBytes(16).toString('hex');
  await publisher.publish({ subject, data, id });
  return id;
}
const build = (text: string): Promise<string> => ask(SUBJECTS.imageRequested, { recipe: text });

/** The first fact of one of these subjects that answers the request. */
async function answer(requestId: string, subjects: readonly string[], seconds = 60): Promise<Fact> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(20)) {
    const found = facts.find((fact) => fact.correlationId === requestId && subjects.includes(fact.subject));
    if (found) return found;
  }
  throw new Error(`no ${subjects.join(' or ')} for ${requestId}; there were ${facts.filter((fact) => fact.correlationId === requestId).map((fact) => fact.subject).join(', ')}`);
}

async function tested(requestId: string, seconds = 60): Promise<Fact> {
  const fact = await answer(requestId, [SUBJECTS.imageTested, SUBJECTS.imageRejected], seconds);
  if (fact.subject !== SUBJECTS.imageTested) throw new Error(JSON.stringify(fact.data));
  return fact;
}

async function rejected(requestId: string): Promise<ImageRejected> {
  const fact = await answer(requestId, [SUBJECTS.imageTested, SUBJECTS.imageRejected]);
  expect(fact.subject).toBe(SUBJECTS.imageRejected);
  return fact.data as unknown as ImageRejected;
}

/** Nothing of any build in hand is left, in files, processes, mounts and cgroups. */
function expectNothingLeft(): void {
  for (const id of readdirSync(join(builderDirectory(), 'work'))) {
    const own = join(builderDirectory(), 'work', id);
    expect(readdirSync(own).filter((name) => !name.startsWith('.'))).toEqual([]);
    expect(readdirSync(join(own, '.containers', 'bundles'))).toEqual([]);
  }
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(scratch);
  const cgroups = readdirSync('/sys/fs/cgroup', { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? readdirSync(join('/sys/fs/cgroup', entry.name)) : [entry.name]));
  expect(cgroups.filter((name) => name.startsWith('plinth-build-'))).toEqual([]);
}

describe('a build', () => {
  it('becomes a signed, tested image, told step by step', async () => {
    await start();
    const name = newName();
    const requestId = await build(
      recipe(
        name,
        [
          'env: { GREETING: hello }',
          'files: [{ path: /etc/motd, content: welcome, mode: "0600" }, { path: /usr/lib/x/y, base64: aGk= }]',
          'run: ["echo made > /usr/made; echo $GREETING >> /usr/made", [/bin/mkdir, /opt]]',
          'auth: { nsswitch: { passwd: [files] }, pam: { login: "auth required pam_deny.so" } }',
          'tests:',
          '  - { name: made, run: cat /usr/made /etc/motd, expectOutput: hello }',
          '  - { name: refuses, run: [/bin/touch, /usr/x], expectExit: 1 }',
          '  - { name: variable, run: echo $GREETING, expectOutput: hello }',
          '',
        ].join('\n'),
      ),
    );
    const fact = await tested(requestId);
    expect(fact).toMatchObject({ causationId: requestId, data: { name, version: 'v1' } });
    expect((fact.data['tests'] as { name: string }[]).map((test) => test.name)).toEqual(['boots', 'the tree refuses writes', 'every writable place takes writes', 'made', 'refuses', 'variable']);
    expect(facts.filter((one) => one.correlationId === requestId).map((one) => one.subject)).toEqual([SUBJECTS.imageBuilding, SUBJECTS.imageBuilt, SUBJECTS.imageTested]);

    const directory = repository('testing', name, 'v1');
    expect(readdirSync(directory).sort()).toEqual([archiveFileName(name, 'v1'), 'manifest.json', 'signature.json'].sort());
    const manifestText = readFileSync(join(directory, 'manifest.json'), 'utf8');
    const digestOf = (content: string | Buffer): `sha256:${string}` => `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const checked = validateManifest(JSON.parse(manifestText), digestOf);
    expect(checked).toMatchObject({ ok: true });
    const statement = JSON.parse(readFileSync(join(directory, 'signature.json'), 'utf8')) as SignedStatement;
    expect(verify(null, Buffer.from(signedText(statement)), createPublicKey(key.privateKey), Buffer.from(statement.signature, 'base64'))).toBe(true);
    expect(statement).toMatchObject({
      contentDigest: fact.data['contentDigest'],
      manifestDigest: digestOf(manifestText),
      archiveDigest: digestOf(readFileSync(join(directory, archiveFileName(name, 'v1')))),
    });
    const manifest = JSON.parse(manifestText) as ImageManifest;
    const listed = execFileSync('tar', ['--list', '--zstd', '--file', join(directory, archiveFileName(name, 'v1'))], { encoding: 'utf8' }).trim().split('\n');
    expect(listed.map((member) => member.replace(/\/$/, ''))).toEqual(['mount.sh', 'root', ...manifest.entries.slice(1).map((entry) => `root/${entry.path}`)]);
    expect(manifest.entries.find((entry) => entry.path === 'etc/motd')).toMatchObject({ mode: 0o600, size: 7, uid: 0 });
    expect(manifest.entries.filter((entry) => /^(dev|run|tmp|sw|data|var\/log)\//.test(entry.path))).toEqual([]);

    const seen = statuses.filter((status) => status.name === name);
    expect(seen.map((status) => status.fraction)).toEqual(seen.map((status) => status.fraction).sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({ state: 'tested', fraction: 1, requestId });
    const last = await connection.jetstreamManager().then((manager) => manager.streams.getMessage('PLINTH_STATUS', { last_by_subj: imageStatus(name) }));
    expect(last.json()).toMatchObject({ state: 'tested' });
    expectNothingLeft();
  });

  it('gives the same content again, and another for another recipe', async () => {
    await start();
    const [name, other] = [newName(), newName()];
    const more = 'run: ["echo x > /usr/x; touch /var/log/noise; rm -f /etc/machine-id; id > /etc/machine-id"]\n';
    const one = await tested(await build(recipe(name, more)));
    await delay(1_100);
    const two = await tested(await build(recipe(other, more)));
    const three = await tested(await build(recipe(name, more.replace('echo x', 'echo y'))));
    expect(two.data['contentDigest']).toBe(one.data['contentDigest']);
    expect(three.data['contentDigest']).not.toBe(one.data['contentDigest']);
    expect(three.data['version']).toBe('v2');
  });

  it('builds on an image and inherits what it does not change', async () => {
    await start();
    const [base, child] = [newName(), newName()];
    await tested(await build(recipe(base, 'env: { A: base, B: base }\nwritable: [{ path: /etc, size: 1M }, { path: /srv/cache, size: 2M, content: empty }]\n')));
    const fact = await tested(await build(`name: ${child}\nfrom: ${base}@v1\nenv: { B: child }\ntests: [{ name: env, run: echo $A-$B, expectOutput: base-child }]\n`));
    const built = facts.find((one) => one.subject === SUBJECTS.imageBuilt && one.correlationId === fact.correlationId);
    expect(built?.data['parent']).toBe(`${base}@v1`);
    const manifest = JSON.parse(readFileSync(repository('testing', child, 'v1', 'manifest.json'), 'utf8')) as ImageManifest;
    expect(manifest.mountPlan.places.map((place) => place.path)).toEqual(['/etc', '/srv/cache']);
  });

  it('builds on an image of an OCI layout', async () => {
    await start();
    const layout = join(scratch, 'sources', 'layout');
    const blob = (content: string | Buffer): { digest: string; size: number } => {
      const hex = createHash('sha256').update(content).digest('hex');
      mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
      writeFileSync(join(layout, 'blobs/sha256', hex), content);
      return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
    };
    const upper = rawTar([{ name: 'usr/bin/.wh.touch' }, { name: 'usr/added', content: 'layered' }]);
    const layers = [blob(readFileSync(rootfs.path)), blob(upper)];
    const manifest = blob(JSON.stringify({ schemaVersion: 2, config: blob('{}'), layers }));
    writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }] }));
    const text = (ref: string): string => `name: ${newName()}\nfrom: { oci: { path: ${layout}, ref: "${ref}" } }\ntests: [{ name: added, run: cat /usr/added, expectOutput: layered }, { name: gone, run: test -e /bin/touch, expectExit: 1 }]\n`;
    await tested(await build(text('latest')));
    await tested(await build(text(manifest.digest)));
    expect(await rejected(await build(text('other')))).toMatchObject({ reason: 'source-unavailable' });
    writeFileSync(join(layout, 'blobs/sha256', layers[1]?.digest.slice(7) ?? ''), 'x'.repeat(upper.length));
    expect(await rejected(await build(text('latest')))).toMatchObject({ reason: 'source-mismatch' });
  });

  it('says when the disk is full', async () => {
    const small = join(scratch, 'small-disk');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', small]);
    try {
      const builder = await start('builder-1', { PLINTH_BUILDER_DIR: join(small, 'builder'), PLINTH_REPOSITORY_DIR: join(small, 'repository') });
      expect(await rejected(await build(recipe(newName())))).toMatchObject({ reason: 'no-space' });
      expect(readdirSync(join(small, 'builder/work/builder-1')).filter((name) => !name.startsWith('.'))).toEqual([]);
      await builder.end();
    } finally {
      execFileSync('umount', [small]);
    }
  });

  it.each<[string, string, Partial<ImageRejected>]>([
    ['a failed test', 'tests: [{ name: first, run: "true" }, { name: second, run: "echo because; exit 3" }]', { reason: 'test-failed', failedTest: 'second', logTail: expect.stringContaining('because') as unknown as string }],
    ['a test that hangs', 'tests: [{ name: hangs, run: [/bin/sleep, "100"], timeoutSeconds: 1 }]', { reason: 'test-failed', failedTest: 'hangs' }],
    ['output that is missing', 'tests: [{ name: says, run: echo no, expectOutput: "yes" }]', { reason: 'test-failed', failedTest: 'says' }],
    ['a command that ends at once', 'command: [/bin/sh, -c, "echo broken; exit 7"]', { reason: 'test-failed', failedTest: 'boots', logTail: expect.stringContaining('broken') as unknown as string }],
    ['a command that is not there', 'command: [/bin/missing]', { reason: 'invalid-recipe' }],
    ['a failing run', 'run: ["echo reason; exit 4"]', { reason: 'build-command-failed', logTail: expect.stringContaining('reason') as unknown as string }],
    ['a fifo', 'run: [[/bin/mkfifo, /usr/pipe]]', { reason: 'unsafe-tree', message: expect.stringContaining('/usr/pipe') as unknown as string }],
    ['a name that is not UTF-8', 'run: ["touch /usr/$(printf \'\\\\377\')"]', { reason: 'unsafe-tree' }],
    ['a mount point that is a link', 'run: ["ln -s /usr /data"]', { reason: 'unsafe-tree', message: expect.stringContaining('/data') as unknown as string }],
    ['a writable place behind a link', 'run: ["ln -s /usr /srv"]\nwritable: [{ path: /srv/x }]', { reason: 'unsafe-tree', message: expect.stringContaining('/srv') as unknown as string }],
    ['packages without apt', 'packages: { add: [curl] }', { reason: 'invalid-recipe' }],
    ['an unknown owner', 'files: [{ path: /a, content: x, owner: "nobody:root" }]', { reason: 'invalid-recipe' }],
  ])('leaves nothing of %s', async (_, more, expected) => {
    await start();
    const name = newName();
    expect(await rejected(await build(recipe(name, more)))).toMatchObject({ operation: 'build', name, version: 'v1', ...expected });
    expect(existsSync(repository('testing', name, 'v1'))).toBe(false);
    expectNothingLeft();
    expect((await tested(await build(recipe(name)))).data['version']).toBe('v2');
  });

  it.each<[string, string, string]>([
    ['a wrong digest', `from: { rootfs: { path: /small.tar.gz, sha256: "${'0'.repeat(64)}" } }`, 'source-mismatch'],
    ['a tarball that is not there', `from: { rootfs: { path: /none.tar, sha256: "${'0'.repeat(64)}" } }`, 'source-unavailable'],
    ['a URL that nobody answers', `from: { rootfs: { url: "http://127.0.0.1:9/x", sha256: "${'0'.repeat(64)}" } }`, 'source-unavailable'],
    ['an OCI layout that is not there', 'from: { oci: { path: /none, ref: latest } }', 'source-unavailable'],
    ['a parent that is not there', 'from: no-such-image@v1', 'parent-not-found'],
  ])('refuses %s', async (_, from, reason) => {
    await start();
    expect(await rejected(await build(`name: ${newName()}\n${from}\n`))).toMatchObject({ reason });
  });

  it('ends what takes too long', async () => {
    await start('builder-1', { PLINTH_BUILD_TIMEOUT_SECONDS: '10' });
    expect(await rejected(await build(recipe(newName(), 'run: [[/bin/sleep, "1000"]]\n')))).toMatchObject({ reason: 'build-timeout' });
    expectNothingLeft();
  });

  it('names every mistake of a recipe and gives out no version', async () => {
    await start();
    const name = newName();
    const fact = await rejected(await build(recipe(name, 'pakages: {}\ntimezone: Nowhere\n')));
    expect(fact).toMatchObject({ reason: 'invalid-recipe', name, problems: [{ path: 'pakages' }, { path: 'timezone' }] });
    expect(fact.version).toBeUndefined();
    expect((await tested(await build(recipe(name)))).data['version']).toBe('v1');
  });

  it('shows a command of a recipe nothing of the builder', async () => {
    await start();
    const name = newName();
    const requestId = await build(
      recipe(name, 'run: ["cat /proc/self/environ /proc/1/cmdline > /usr/seen; ls /proc > /usr/processes; cat /proc/net/route > /usr/routes; ! touch /proc/sys/kernel/x; ! cat /proc/kcore"]\ntests: [{ name: seen, run: cat /usr/seen }]\n'),
    );
    await tested(requestId);
    const log = readFileSync(join(builderDirectory(), 'logs', `${name}-v1.log`), 'utf8');
    expect(log).not.toMatch(/postgres|NATS|PLINTH|nats:/);
  });
});

describe('several builders', () => {
  it('share the work and give out every version once', async () => {
    const builders = await Promise.all([start('builder-1'), start('builder-2')]);
    const name = newName();
    const requests = await Promise.all(Array.from({ length: 8 }, () => build(recipe(name))));
    const results = await Promise.all(requests.map((id) => tested(id, 100)));
    expect(results.map((fact) => fact.data['version']).sort()).toEqual(['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7', 'v8']);
    for (const id of requests) expect(facts.filter((fact) => fact.correlationId === id && fact.subject === SUBJECTS.imageBuilding)).toHaveLength(1);
    for (const builder of builders) expect(builder.log.filter((line) => line.msg === 'image tested').length).toBeGreaterThan(0);
    expectNothingLeft();
  });

  it('build once for an event that comes twice', async () => {
    await Promise.all([start('builder-1'), start('builder-2')]);
    const name = newName();
    const event = { subject: SUBJECTS.imageRequested, data: { recipe: recipe(name) } };
    const first = await publisher.publish({ ...event, id: 'the same event' });
    // Beyond the bus's own memory of ids the same event is another message.
    const jetstream = connection.jetstream();
    const stored = await (await connection.jetstreamManager()).streams.getMessage('PLINTH_EVENTS', { seq: first.sequence });
    stored.header.delete('Nats-Msg-Id');
    await jetstream.publish(SUBJECTS.imageRequested, stored.data, { headers: stored.header });
    expect((await tested('the same event')).data['version']).toBe('v1');
    await delay(1_500);
    expect(facts.filter((fact) => fact.correlationId === 'the same event').map((fact) => fact.subject)).toEqual([SUBJECTS.imageBuilding, SUBJECTS.imageBuilt, SUBJECTS.imageTested]);
  });
});

describe('a builder that dies', () => {
  it.each([300, 900, 1_500])('in a build after %i ms leaves nothing running, and the build is finished', async (ms) => {
    const builder = await start();
    const requestId = await build(recipe(newName(), 'run: [[/bin/sleep, "1.234"]]\ntests: [{ name: slow, run: [/bin/sleep, "0.5"] }]\n'));
    await answer(requestId, [SUBJECTS.imageBuilding]);
    await delay(ms);
    await builder.end('SIGKILL');
    await delay(200);
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toMatch(/sleep 1\.234/);
    await start();
    expect((await tested(requestId)).data['version']).toBe('v1');
    expect(facts.filter((fact) => fact.correlationId === requestId && fact.subject === SUBJECTS.imageTested)).toHaveLength(1);
    expectNothingLeft();
  });

  it('or is asked to stop gives its build to another', async () => {
    const builder = await start('builder-1');
    const requestId = await build(recipe(newName(), 'run: [[/bin/sleep, "3"]]\n'));
    await answer(requestId, [SUBJECTS.imageBuilding]);
    await start('builder-2');
    const began = Date.now();
    expect(await builder.end('SIGTERM')).toBe(0);
    expect(Date.now() - began).toBeLessThan(3_000);
    await tested(requestId);
    expectNothingLeft();
  });
});

describe('promotion and revocation', () => {
  const promote = (image: string, to?: string[]): Promise<string> => ask(SUBJECTS.imagePromotionRequested, { image, to });

  it('puts a tested image into production, once, and where it is asked to', async () => {
    await start();
    const name = newName();
    const image = `${name}@v1`;
    await tested(await build(recipe(name)));
    const first = await answer(await promote(image, ['sn-1']), [SUBJECTS.imagePromoted]);
    const statement = JSON.parse(readFileSync(repository('production', name, 'v1', 'signature.json'), 'utf8')) as SignedStatement;
    expect(first.data).toMatchObject({ name, version: 'v1', to: ['sn-1'], sources: [`http://builder.test/base/images/${name}/v1`], archiveDigest: statement.archiveDigest });
    expect(existsSync(repository('testing', name, 'v1'))).toBe(false);
    expect(await rejected(await promote(image, ['sn-1']))).toMatchObject({ operation: 'promotion', reason: 'already-promoted' });
    expect((await answer(await promote(image), [SUBJECTS.imagePromoted])).data['to']).toBeUndefined();
    await answer(await ask(SUBJECTS.imageRevocationRequested, { image, reason: 'it is broken' }), [SUBJECTS.imageRevoked]);
    expect(await rejected(await promote(image))).toMatchObject({ reason: 'revoked' });
    expect(await rejected(await build(`name: ${newName()}\nfrom: ${image}\n`))).toMatchObject({ reason: 'revoked' });
    expect(await rejected(await promote(`${name}@v9`))).toMatchObject({ reason: 'image-not-found' });
    const reply = await connection.request(QUERIES.build, JSON.stringify({ image }), { timeout: 5_000 });
    expect(reply.json()).toMatchObject({ ok: true, data: { name, state: 'revoked', manifest: { timezone: 'UTC' }, tests: expect.any(Array) } });
    const unknown = await connection.request(QUERIES.build, JSON.stringify({ image: `${name}@v9` }), { timeout: 5_000 });
    expect(unknown.json()).toMatchObject({ ok: false, reason: 'image-not-found' });
  });

  it('is finished by whoever comes after a crash between the files and the fact', async () => {
    const builder = await start();
    const name = newName();
    await tested(await build(recipe(name)));
    await builder.end('SIGKILL');
    const requestId = 'a'.repeat(32);
    // As a builder leaves it that died right after the rename.
    const row = JSON.stringify({ requestId, correlationId: requestId });
    const sql = `UPDATE image_builder.image_build SET state = 'promoting', promotion = '${row}' WHERE name = '${name}'`;
    const { DataSource } = await import('typeorm');
    const source = await new DataSource({ type: 'postgres', url: postgres.url }).initialize();
    await source.query(sql);
    await source.destroy();
    mkdirSync(repository('production', name), { recursive: true });
    execFileSync('mv', [repository('testing', name, 'v1'), repository('production', name, 'v1')]);
    await start();
    expect((await answer(requestId, [SUBJECTS.imagePromoted])).data).toMatchObject({ name, version: 'v1' });
  });

  it('lets nobody download what is not in production, and the rest in parts', async () => {
    const builder = await start();
    const name = newName();
    await tested(await build(recipe(name)));
    const base = `${builder.url}/images/${name}/v1`;
    expect((await fetch(`${base}/manifest.json`)).status).toBe(404);
    await answer(await promote(`${name}@v1`), [SUBJECTS.imagePromoted]);
    const archive = readFileSync(repository('production', name, 'v1', archiveFileName(name, 'v1')));
    const url = `${base}/${archiveFileName(name, 'v1')}`;
    const whole = await fetch(url);
    const etag = whole.headers.get('etag') ?? '';
    expect(Buffer.from(await whole.arrayBuffer()).equals(archive)).toBe(true);
    expect(etag).toMatch(/^"sha256:[0-9a-f]{64}"$/);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, String(archive.length), '']);
    const part = await fetch(url, { headers: { range: 'bytes=100-199', 'if-range': etag } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${archive.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(archive.subarray(100, 200))).toBe(true);
    expect((await fetch(url, { headers: { range: `bytes=${archive.length}-` } })).status).toBe(416);
    expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await fetch(url, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } })).status).toBe(200);
    for (const path of [
      `/images/${name}/v1/../../../../etc/passwd`,
      `/images/${name}/v1/..%2f..%2f..%2fkey.pem`,
      `/images/${name}/v1/%2e%2e/x`,
      `/images/..%2ftesting/${name}/v1`,
      `/images/${name}/v01/manifest.json`,
      `/images/${name}/v1/manifest.json%00`,
      `/images/${name}/v1/.`,
    ]) {
      expect(await statusOf(builder.url, path)).toBeGreaterThanOrEqual(400);
    }
  });
});

/** fetch() would tidy the path up before it is sent. */
function statusOf(url: string, path: string): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

const mirrorAnswers = await fetch(`${MIRROR}/dists/bookworm/InRelease`, { method: 'HEAD', signal: AbortSignal.timeout(5_000) }).then(
  (response) => response.ok,
  () => false,
);

(mirrorAnswers ? describe : describe.skip)('a build from a Debian mirror', () => {
  it('becomes a tested image, with packages, the same twice', async () => {
    await start();
    const text = (name: string): string => `name: ${name}\nfrom: { mmdebstrap: { suite: bookworm } }\npackages: { add: [less], remove: [e2fsprogs] }\ntests: [{ name: less, run: less --version }, { name: gone, run: test -e /sbin/mke2fs, expectExit: 1 }]\n`;
    const requests = await Promise.all([build(text(newName())), build(text(newName()))]);
    const [one, two] = await Promise.all(requests.map((id) => tested(id, 110)));
    expect(one?.data['contentDigest']).toBe(two?.data['contentDigest']);
    expectNothingLeft();
  });

  it('names the package that does not exist', async () => {
    await start();
    const requestId = await build(`name: ${newName()}\nfrom: { mmdebstrap: { suite: bookworm } }\npackages: { add: [no-such-package-at-all] }\n`);
    expect(await rejected(requestId)).toMatchObject({ reason: 'package-not-found', message: expect.stringContaining('no-such-package-at-all') });
  });

  it('says when the suite does not exist', async () => {
    await start();
    expect(await rejected(await build(`name: ${newName()}\nfrom: { mmdebstrap: { suite: nosuchsuite } }\n`))).toMatchObject({ reason: 'source-unavailable' });
  });
});
