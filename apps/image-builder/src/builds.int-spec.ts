/** Builds, and recipes that are refused. */
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import {
  archiveFileName,
  type ImageManifest,
  type ImageRejected,
  imageStatus,
  type SignedStatement,
  signedText,
  SUBJECTS,
  validateManifest,
} from '@plinth/contracts';
import { BuilderSuite } from './testing/builder-suite.js';
import { ociLayout } from './testing/oci-layout.js';
import { rawTar } from './testing/raw-tar.js';

const suite = BuilderSuite.install();

describe('a build', () => {
  it('becomes a signed, tested image, with each step reported', async () => {
    await suite.shared();
    const name = suite.newName();
    const requestId = await suite.build(
      suite.recipe(
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
    const fact = await suite.tested(requestId);
    expect(fact).toMatchObject({ causationId: requestId, data: { name, version: 'v1' } });
    expect((fact.data['tests'] as { name: string }[]).map((test) => test.name)).toEqual([
      'boots',
      'the tree refuses writes',
      'every writable place takes writes',
      'made',
      'refuses',
      'variable',
    ]);
    expect(suite.facts.filter((one) => one.correlationId === requestId).map((one) => one.subject)).toEqual([
      SUBJECTS.imageBuilding,
      SUBJECTS.imageBuilt,
      SUBJECTS.imageTested,
    ]);

    const directory = suite.repository('testing', name, 'v1');
    expect(readdirSync(directory).sort()).toEqual(
      [archiveFileName(name, 'v1'), 'manifest.json', 'signature.json'].sort(),
    );
    const manifestText = readFileSync(join(directory, 'manifest.json'), 'utf8');
    const digestOf = (content: string | Buffer): `sha256:${string}` =>
      `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const checked = validateManifest(JSON.parse(manifestText), digestOf);
    expect(checked).toMatchObject({ ok: true });
    const statement = JSON.parse(readFileSync(join(directory, 'signature.json'), 'utf8')) as SignedStatement;
    expect(
      verify(
        null,
        Buffer.from(signedText(statement)),
        createPublicKey(suite.key.privateKey),
        Buffer.from(statement.signature, 'base64'),
      ),
    ).toBe(true);
    expect(statement).toMatchObject({
      contentDigest: fact.data['contentDigest'],
      manifestDigest: digestOf(manifestText),
      archiveDigest: digestOf(readFileSync(join(directory, archiveFileName(name, 'v1')))),
    });
    const manifest = JSON.parse(manifestText) as ImageManifest;
    const listed = execFileSync('tar', ['--list', '--zstd', '--file', join(directory, archiveFileName(name, 'v1'))], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
    expect(listed.map((member) => member.replace(/\/$/, ''))).toEqual([
      'mount.sh',
      'root',
      ...manifest.entries.slice(1).map((entry) => `root/${entry.path}`),
    ]);
    expect(manifest.entries.find((entry) => entry.path === 'etc/motd')).toMatchObject({ mode: 0o600, size: 7, uid: 0 });
    expect(manifest.entries.filter((entry) => /^(dev|run|tmp|sw|data|var\/log)\//.test(entry.path))).toEqual([]);

    // The status and the fact go their own ways.
    const isTested = (): boolean => suite.statuses.some((status) => status.name === name && status.state === 'tested');
    await suite.until(isTested, `the status of ${name}`);
    const seen = suite.statuses.filter((status) => status.name === name);
    expect(seen.map((status) => status.fraction)).toEqual(seen.map((status) => status.fraction).sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({ state: 'tested', fraction: 1, requestId });
    const last = await suite.connection
      .jetstreamManager()
      .then((manager) => manager.streams.getMessage('PLINTH_STATUS', { last_by_subj: imageStatus(name) }));
    expect(last.json()).toMatchObject({ state: 'tested' });
    suite.expectNothingLeft();
  });

  it('gives the same content again, and another for another recipe', async () => {
    await suite.shared();
    const [name, other] = [suite.newName(), suite.newName()];
    const more = 'run: ["echo x > /usr/x; touch /var/log/noise; rm -f /etc/machine-id; id > /etc/machine-id"]\n';
    const one = await suite.tested(await suite.build(suite.recipe(name, more)));
    // The second build runs in another second: the content has no time of the build.
    await delay(1_100);
    const two = await suite.tested(await suite.build(suite.recipe(other, more)));
    const three = await suite.tested(await suite.build(suite.recipe(name, more.replace('echo x', 'echo y'))));
    expect(two.data['contentDigest']).toBe(one.data['contentDigest']);
    expect(three.data['contentDigest']).not.toBe(one.data['contentDigest']);
    expect(three.data['version']).toBe('v2');
  });

  it('builds on an image and inherits what it does not change', async () => {
    await suite.shared();
    const [base, child] = [suite.newName(), suite.newName()];
    await suite.tested(
      await suite.build(
        suite.recipe(
          base,
          'env: { A: base, B: base }\nwritable: [{ path: /etc, size: 1M }, { path: /srv/cache, size: 2M, content: empty }]\n',
        ),
      ),
    );
    const fact = await suite.tested(
      await suite.build(
        `name: ${child}\nfrom: ${base}@v1\nenv: { B: child }\ntests: [{ name: env, run: echo $A-$B, expectOutput: base-child }]\n`,
      ),
    );
    const built = suite.facts.find(
      (one) => one.subject === SUBJECTS.imageBuilt && one.correlationId === fact.correlationId,
    );
    expect(built?.data['parent']).toBe(`${base}@v1`);
    const manifest = JSON.parse(
      readFileSync(suite.repository('testing', child, 'v1', 'manifest.json'), 'utf8'),
    ) as ImageManifest;
    expect(manifest.mountPlan.places.map((place) => place.path)).toEqual(['/etc', '/srv/cache']);
  });

  it('boots by the mount script that the recipe brings', async () => {
    await suite.shared();
    const [plain, custom] = [suite.newName(), suite.newName()];
    await suite.tested(await suite.build(suite.recipe(plain)));
    const archive = suite.repository('testing', plain, 'v1', archiveFileName(plain, 'v1'));
    const generated = execFileSync('tar', ['--extract', '--zstd', '--to-stdout', '--file', archive, 'mount.sh'], {
      encoding: 'utf8',
    });
    const script = `${generated}echo "by the script" > "$root/etc/made"\n`;
    const text = suite.recipe(
      custom,
      `mountScript: ${JSON.stringify(script)}\ntests: [{ name: made, run: cat /etc/made, expectOutput: by the script }]\n`,
    );
    await suite.tested(await suite.build(text));
    const manifest = JSON.parse(
      readFileSync(suite.repository('testing', custom, 'v1', 'manifest.json'), 'utf8'),
    ) as ImageManifest;
    expect(manifest.mountScript).toMatchObject({ custom: true, bytes: script.length });
    expect(
      await suite.rejected(await suite.build(suite.recipe(suite.newName(), 'mountScript: "#!/bin/sh\\nexit 5\\n"\n'))),
    ).toMatchObject({ reason: 'test-failed', failedTest: 'boots' });
  });

  it('builds on an image of an OCI layout', async () => {
    await suite.shared();
    const layout = join(suite.scratch, 'sources', 'layout');
    const blob = (content: string | Buffer): { digest: string; size: number } => {
      const hex = createHash('sha256').update(content).digest('hex');
      mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
      writeFileSync(join(layout, 'blobs/sha256', hex), content);
      return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
    };
    const upper = rawTar([{ name: 'usr/bin/.wh.touch' }, { name: 'usr/added', content: 'layered' }]);
    const layers = [blob(readFileSync(suite.rootfs.path)), blob(upper)];
    const manifest = blob(JSON.stringify({ schemaVersion: 2, config: blob('{}'), layers }));
    writeFileSync(
      join(layout, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }],
      }),
    );
    const text = (ref: string): string =>
      `name: ${suite.newName()}\nfrom: { oci: { path: ${layout}, ref: "${ref}" } }\ntests: [{ name: added, run: cat /usr/added, expectOutput: layered }, { name: gone, run: test -e /bin/touch, expectExit: 1 }]\n`;
    await suite.tested(await suite.build(text('latest')));
    await suite.tested(await suite.build(text(manifest.digest)));
    expect(await suite.rejected(await suite.build(text('other')))).toMatchObject({ reason: 'source-unavailable' });
    writeFileSync(join(layout, 'blobs/sha256', layers[1]?.digest.slice(7) ?? ''), 'x'.repeat(upper.length));
    expect(await suite.rejected(await suite.build(text('latest')))).toMatchObject({ reason: 'source-mismatch' });
  });

  it('takes from an OCI image how its process is run, unless the recipe sets it', async () => {
    await suite.shared();
    const layout = join(suite.scratch, 'sources', 'configured');
    const refs = ociLayout(layout, [readFileSync(suite.rootfs.path)], {
      served: {
        Entrypoint: [
          '/bin/sh',
          '-c',
          'cd .; trap "exit 0" QUIT; id > /tmp/who; while :; do sleep 1 & wait $!; done',
          'x',
        ],
        Cmd: ['y'],
        Env: ['FROM=layout', 'PATH=/usr/bin:/bin'],
        WorkingDir: '/srv/app/',
        User: '33:root',
        StopSignal: '3',
        ExposedPorts: { '8080': {} },
      },
      hostile: { Entrypoint: '/bin/sh' },
      huge: { Env: [`A=${'x'.repeat(100_000)}`] },
      unknown: { User: 'nobody-here' },
    });
    const text = (name: string, ref: string, more = ''): string =>
      `name: ${name}\nfrom: { oci: { path: ${refs}, ref: ${ref} } }\n${more}`;
    const name = suite.newName();
    const tests =
      'tests: [{ name: who, run: cat /tmp/who, expectOutput: uid=33 gid=0 }, { name: root, run: id, expectOutput: uid=0 }]';
    await suite.tested(await suite.build(text(name, 'served', `env: { OWN: recipe }\n${tests}\n`)));
    const manifest = JSON.parse(
      readFileSync(suite.repository('testing', name, 'v1', 'manifest.json'), 'utf8'),
    ) as ImageManifest;
    expect(manifest).toMatchObject({
      schema: 2,
      command: ['y'],
      environment: { FROM: 'layout', OWN: 'recipe' },
      workingDirectory: '/srv/app',
      user: { name: '33:root', uid: 33, gid: 0, additionalGids: [] },
      stopSignal: 'SIGQUIT',
      exposedPorts: ['8080/tcp'],
    });
    expect(manifest.entries.find(({ path }) => path === 'srv/app')).toMatchObject({ type: 'directory', uid: 0 });
    const child = suite.newName();
    await suite.tested(
      await suite.build(
        `name: ${child}\nfrom: ${name}@v1\nentrypoint: []\nuser: root\nworkingDirectory: /\nexposedPorts: []\n`,
      ),
    );
    const plain = JSON.parse(
      readFileSync(suite.repository('testing', child, 'v1', 'manifest.json'), 'utf8'),
    ) as ImageManifest;
    expect(plain).toMatchObject({ schema: 1, stopSignal: 'SIGQUIT', environment: { FROM: 'layout' } });
    for (const field of ['entrypoint', 'user', 'workingDirectory', 'exposedPorts'])
      expect(plain).not.toHaveProperty(field);
    for (const [ref, reason, message] of [
      ['hostile', 'source-mismatch', /config, Entrypoint must be a list/],
      ['huge', 'source-mismatch', /config, Env must be at most/],
      ['unknown', 'invalid-recipe', /passwd has no user nobody-here/],
    ] as const)
      expect(await suite.rejected(await suite.build(text(suite.newName(), ref)))).toMatchObject({
        reason,
        message: expect.stringMatching(message),
      });
  });

  it('reports a full disk', async () => {
    const small = join(suite.scratch, 'small-disk');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', small]);
    try {
      const builder = await suite.start('builder-1', {
        PLINTH_BUILDER_DIR: join(small, 'builder'),
        PLINTH_REPOSITORY_DIR: join(small, 'repository'),
      });
      expect(await suite.rejected(await suite.build(suite.recipe(suite.newName())))).toMatchObject({
        reason: 'no-space',
      });
      expect(readdirSync(join(small, 'builder/work/builder-1')).filter((name) => !name.startsWith('.'))).toEqual([]);
      await builder.end();
    } finally {
      execFileSync('umount', [small]);
    }
  });

  it.each<[string, string, Partial<ImageRejected>]>([
    [
      'a failed test',
      'tests: [{ name: first, run: "true" }, { name: second, run: "echo because; exit 3" }]',
      { reason: 'test-failed', failedTest: 'second', logTail: expect.stringContaining('because') as unknown as string },
    ],
    [
      'a test that hangs',
      'tests: [{ name: hangs, run: [/bin/sleep, "100"], timeoutSeconds: 1 }]',
      { reason: 'test-failed', failedTest: 'hangs' },
    ],
    [
      'output that is missing',
      'tests: [{ name: prints, run: echo no, expectOutput: "yes" }]',
      { reason: 'test-failed', failedTest: 'prints' },
    ],
    [
      'a command that ends at once',
      'command: [/bin/sh, -c, "echo broken; exit 7"]',
      { reason: 'test-failed', failedTest: 'boots', logTail: expect.stringContaining('broken') as unknown as string },
    ],
    ['a command that is not there', 'command: [/bin/missing]', { reason: 'invalid-recipe' }],
    [
      'a failing run',
      'run: ["echo reason; exit 4"]',
      { reason: 'build-command-failed', logTail: expect.stringContaining('reason') as unknown as string },
    ],
    [
      'a fifo',
      'run: [[/bin/mkfifo, /usr/pipe]]',
      { reason: 'unsafe-tree', message: expect.stringContaining('/usr/pipe') as unknown as string },
    ],
    ['a name that is not UTF-8', 'run: ["touch /usr/$(printf \'\\\\377\')"]', { reason: 'unsafe-tree' }],
    [
      'a mount point that is a link',
      'run: ["ln -s /usr /data"]',
      { reason: 'unsafe-tree', message: expect.stringContaining('/data') as unknown as string },
    ],
    [
      'a writable place behind a link',
      'run: ["ln -s /usr /srv"]\nwritable: [{ path: /srv/x }]',
      { reason: 'unsafe-tree', message: expect.stringContaining('/srv') as unknown as string },
    ],
    ['packages without apt', 'packages: { add: [curl] }', { reason: 'invalid-recipe' }],
    ['an unknown owner', 'files: [{ path: /a, content: x, owner: "nobody:root" }]', { reason: 'invalid-recipe' }],
  ])('leaves nothing of %s', async (_, more, expected) => {
    await suite.shared();
    const name = suite.newName();
    expect(await suite.rejected(await suite.build(suite.recipe(name, more)))).toMatchObject({
      operation: 'build',
      name,
      version: 'v1',
      ...expected,
    });
    expect(existsSync(suite.repository('testing', name, 'v1'))).toBe(false);
    suite.expectNothingLeft();
    expect((await suite.tested(await suite.build(suite.recipe(name)))).data['version']).toBe('v2');
  });

  it.each<[string, string, string]>([
    ['a wrong digest', `from: { rootfs: { path: /small.tar.gz, sha256: "${'0'.repeat(64)}" } }`, 'source-mismatch'],
    [
      'a tarball that is not there',
      `from: { rootfs: { path: /none.tar, sha256: "${'0'.repeat(64)}" } }`,
      'source-unavailable',
    ],
    [
      'a URL without a server',
      `from: { rootfs: { url: "http://127.0.0.1:9/x", sha256: "${'0'.repeat(64)}" } }`,
      'source-unavailable',
    ],
    ['an OCI layout that is not there', 'from: { oci: { path: /none, ref: latest } }', 'source-unavailable'],
    ['a parent that is not there', 'from: no-such-image@v1', 'parent-not-found'],
  ])('refuses %s', async (_, from, reason) => {
    await suite.shared();
    expect(await suite.rejected(await suite.build(`name: ${suite.newName()}\n${from}\n`))).toMatchObject({ reason });
  });

  it('ends what takes too long', async () => {
    await suite.start('builder-1', { PLINTH_BUILD_TIMEOUT_SECONDS: '10' });
    expect(
      await suite.rejected(await suite.build(suite.recipe(suite.newName(), 'run: [[/bin/sleep, "1000"]]\n'))),
    ).toMatchObject({ reason: 'build-timeout' });
    suite.expectNothingLeft();
  });

  it('names every mistake of a recipe and gives out no version', async () => {
    await suite.shared();
    const name = suite.newName();
    const fact = await suite.rejected(await suite.build(suite.recipe(name, 'pakages: {}\ntimezone: Nowhere\n')));
    expect(fact).toMatchObject({
      reason: 'invalid-recipe',
      name,
      problems: [{ path: 'pakages' }, { path: 'timezone' }],
    });
    expect(fact.version).toBeUndefined();
    expect((await suite.tested(await suite.build(suite.recipe(name)))).data['version']).toBe('v1');
  });

  it('shows a command of a recipe nothing of the builder', async () => {
    await suite.shared();
    const name = suite.newName();
    const requestId = await suite.build(
      suite.recipe(
        name,
        'run: ["cat /proc/self/environ /proc/1/cmdline > /usr/seen; ls /proc > /usr/processes; cat /proc/net/route > /usr/routes; ! touch /proc/sys/kernel/x; ! cat /proc/kcore"]\ntests: [{ name: seen, run: cat /usr/seen }]\n',
      ),
    );
    await suite.tested(requestId);
    const log = readFileSync(join(suite.builderDirectory, 'logs', `${name}-v1.log`), 'utf8');
    expect(log).not.toMatch(/postgres|NATS|PLINTH|nats:/);
  });
});
