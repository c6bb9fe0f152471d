/** The end of image versions, decided by three provisioners on a real NATS and PostgreSQL, with scripted hosts. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ContainerDetails,
  type ContainerStatus,
  type ImageSummary,
  type Page,
  QUERIES,
  SUBJECTS,
} from '@plinth/contracts';
import { DataSource } from 'typeorm';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const HOSTS = ['host-1', 'host-2', 'host-3'];
const OS = 'debian-12';

let suite: ProvisionerSuite;
let names = 0;

beforeAll(async () => {
  suite = await ProvisionerSuite.open(3, HOSTS, 500, { PLINTH_HOST_LOST_SECONDS: '6' });
  await suite.promote(OS, 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: `${OS}@v1` });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());
beforeEach(() => suite.hosts.fates.clear());

/** An image with versions of its own, none of them a default. */
async function newImage(versions: number): Promise<string> {
  const name = `image-${++names}`;
  await Promise.all(Array.from({ length: versions }, (_, index) => suite.promote(name, `v${index + 1}`)));
  return name;
}

const retire = (image: string): Promise<string> => suite.ask(SUBJECTS.imageRetirementRequested, { image });
const answerOf = (requestId: string, image: string): Promise<{ reason?: unknown; message?: unknown }> => {
  const [name, version] = image.split('@');
  return suite.until(
    () => suite.of(SUBJECTS.imageRejected, { requestId })[0] ?? suite.of(SUBJECTS.imageRetired, { name, version })[0],
    `${image} is retired or not`,
  );
};
const needing = async (image: string): Promise<readonly ContainerStatus[]> =>
  (await suite.answer<Page<ContainerStatus>>(QUERIES.containers, { needs: image })).items;
const stateOf = async (image: string): Promise<string | undefined> => {
  const [name, version] = image.split('@');
  return (await suite.answer<Page<ImageSummary>>(QUERIES.images, { name })).items.find(
    (item) => item.version === version,
  )?.state;
};
const update = (name: string, to: string, soakSeconds = 0): Promise<string> =>
  suite.ask(SUBJECTS.containerUpdateRequested, { name, to, stableSeconds: 0, soakSeconds });

describe('a version', () => {
  it('that nothing needs is retired, once and for good, and a request for it gets the default with the reason', async () => {
    const name = await newImage(1);
    expect(await answerOf(await retire(`${name}@v1`), `${name}@v1`)).toMatchObject({ name, version: 'v1' });
    expect(await answerOf(await retire(`${name}@v1`), 'none@v1')).toMatchObject({
      operation: 'retirement',
      reason: 'retired',
    });
    const digest = `sha256:${'b'.repeat(64)}`;
    await suite.jetstream.publish(
      SUBJECTS.imagePromoted,
      JSON.stringify({
        name,
        version: 'v1',
        contentDigest: digest,
        manifestDigest: digest,
        archiveDigest: digest,
        archiveBytes: 1,
        unpackedBytes: 1,
        sources: ['http://127.0.0.1:1/x'],
      }),
    );
    await suite.run(`after-${name}`, 1, { image: `${name}@v1` });
    expect(suite.of(SUBJECTS.containerStarted, { name: `after-${name}-0` })[0]).toMatchObject({
      image: `${OS}@v1`,
      fallbackReason: 'retired',
    });
    const strict = await suite.ask(SUBJECTS.containerRequested, {
      name: `strict-${name}`,
      image: `${name}@v1`,
      strict: true,
    });
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId: strict })).toMatchObject({
      reason: 'image-unavailable',
    });
    const activation = await suite.ask(SUBJECTS.imageActivationRequested, { image: `${name}@v1` });
    expect(await suite.fact(SUBJECTS.imageRejected, { requestId: activation })).toMatchObject({
      operation: 'activation',
      reason: 'retired',
    });
    expect(await stateOf(`${name}@v1`)).toBe('retired');
    expect(suite.of(SUBJECTS.imageRetired, { name })).toHaveLength(1);
  });

  it('is reported as retired again when a storage node still holds it after a while', async () => {
    const name = await newImage(1);
    await answerOf(await retire(`${name}@v1`), `${name}@v1`);
    const source = await new DataSource({ type: 'postgres', url: suite.databaseUrl }).initialize();
    await source.query(
      `UPDATE provisioner.image_versions SET retirement_told_at = now() - interval '1 hour' WHERE name = $1`,
      [name],
    );
    await source.destroy();
    await suite.until(
      () => suite.of(SUBJECTS.imageRetired, { name }).length === 2,
      'the retirement is published again',
    );
  });

  it('that is the default, unknown, or not in production is not', async () => {
    expect(await answerOf(await retire(`${OS}@v1`), 'none@v1')).toMatchObject({ reason: 'default-image' });
    expect(await answerOf(await retire(`${OS}@v99`), 'none@v1')).toMatchObject({ reason: 'image-not-found' });
    const built = `built-${++names}`;
    await suite.jetstream.publish(
      SUBJECTS.imageTested,
      JSON.stringify({
        name: built,
        version: 'v1',
        contentDigest: `sha256:${'c'.repeat(64)}`,
        tests: [],
        durationMs: 1,
      }),
    );
    await suite.until(async () => (await stateOf(`${built}@v1`)) === 'tested', 'it is known');
    expect(await answerOf(await retire(`${built}@v1`), 'none@v1')).toMatchObject({ reason: 'not-promoted' });
  });

  it('is kept for a container that is on it, even stopped, until that is gone', async () => {
    const name = await newImage(1);
    const image = `${name}@v1`;
    await suite.run(name, 1, { image });
    const refused = await answerOf(await retire(image), 'none@v1');
    expect(refused).toMatchObject({ reason: 'in-use' });
    expect(refused.message).toContain(`1 container on it (${name}-0)`);
    await suite.ask(SUBJECTS.containerStopRequested, { name: `${name}-0` });
    await suite.fact(SUBJECTS.containerStopped, { name: `${name}-0` });
    expect(await answerOf(await retire(image), 'none@v1')).toMatchObject({ reason: 'in-use' });
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: `${name}-0` });
    await suite.fact(SUBJECTS.containerRemoved, { name: `${name}-0` });
    expect(await answerOf(await retire(image), image)).toMatchObject({ name });
  });

  it('is kept for a container that is reverted to it, and for one that has it as known good', async () => {
    const name = await newImage(2);
    await suite.run(name, 1, { image: `${name}@v1` });
    suite.hosts.fates.set(`${name}-0`, 'hangs');
    await update(`${name}-0`, `${name}@v2`, 60);
    // Until the host's report has reached the provisioner, the container counts as on the first version.
    await suite.until(
      async () =>
        (await suite.answer<ContainerDetails>(QUERIES.container, { name: `${name}-0` })).history.filter(
          ({ kind }) => kind === 'started',
        ).length === 2,
      'it is on trial',
    );
    expect((await answerOf(await retire(`${name}@v1`), 'none@v1')).message).toContain('1 container going back to it');
    expect((await answerOf(await retire(`${name}@v2`), 'none@v1')).message).toContain('1 container on it');
    suite.hosts.fates.clear();
    await update(`${name}-0`, `${name}@v2`);
    await suite.fact(SUBJECTS.containerUpdated, { name: `${name}-0` });
    expect((await answerOf(await retire(`${name}@v1`), 'none@v1')).message).toContain(
      '1 container that has it as known good',
    );
    expect(await needing(`${name}@v1`)).toHaveLength(1);
  });

  it('is kept for a host that is away and still runs on it, even if the config names another', async () => {
    const name = await newImage(2);
    await suite.run(name, 1, { image: `${name}@v1` });
    const host = (await needing(`${name}@v1`))[0]?.host ?? '';
    const rollout = await suite.ask(SUBJECTS.rolloutRequested, {
      select: { containers: [`${name}-0`] },
      to: `${name}@v2`,
      stableSeconds: 0,
      soakSeconds: 0,
      deadlineSeconds: 5,
    });
    const { rolloutId } = await suite.fact(SUBJECTS.rolloutStarted, { requestId: rollout });
    await suite.fact(SUBJECTS.rolloutCompleted, { rolloutId });
    suite.hosts.silent.add(host);
    await suite.until(() => suite.of(SUBJECTS.hostLost, { host })[0], 'the host is lost');
    await suite.ask(SUBJECTS.rolloutRevertRequested, { rolloutId });
    await suite.fact(SUBJECTS.rolloutReverted, { rolloutId });
    const [container] = await needing(`${name}@v2`);
    expect(container).toMatchObject({ image: `${name}@v1`, state: 'lost' });
    expect(await answerOf(await retire(`${name}@v2`), 'none@v1')).toMatchObject({ reason: 'in-use' });
    suite.hosts.wake(host);
    await suite.until(() => suite.hosts.imagesOf(name)[0] === `${name}@v1`, 'it is back on the first');
    await suite.until(async () => (await needing(`${name}@v2`)).length === 0, 'the other is free');
    expect(await answerOf(await retire(`${name}@v2`), `${name}@v2`)).toMatchObject({ version: 'v2' });
  });

  it('is kept for a rollout that has not ended', async () => {
    const name = await newImage(1);
    await suite.promote(name, 'v2', false);
    await suite.run(name, 1, { image: `${name}@v1` });
    // It waits for the storage node to hold the target.
    const requestId = await suite.ask(SUBJECTS.rolloutRequested, {
      select: { containers: [`${name}-0`] },
      to: `${name}@v2`,
    });
    const { rolloutId } = await suite.fact(SUBJECTS.rolloutStarted, { requestId });
    const refused = await answerOf(await retire(`${name}@v2`), 'none@v1');
    expect(refused).toMatchObject({ reason: 'in-rollout' });
    expect(refused.message).toContain(String(rolloutId));
    await suite.ask(SUBJECTS.rolloutAbortRequested, { rolloutId });
    await suite.fact(SUBJECTS.rolloutAborted, { rolloutId });
    expect(await answerOf(await retire(`${name}@v2`), `${name}@v2`)).toMatchObject({ version: 'v2' });
  });
});

describe('retirements, creations, updates and activations at once', () => {
  it('leave no container and no default on a retired version', async () => {
    const versions = 30;
    const name = await newImage(versions);
    await suite.run(`mover-${name}`, versions);
    const refs = Array.from({ length: versions }, (_, index) => `${name}@v${index + 1}`);
    const retirements = new Map<string, string>();
    const created: string[] = [];
    const updates: string[] = [];
    await Promise.all(
      refs.map(async (image, index) => {
        const create = async (count: number): Promise<void> => {
          const container = `c-${name}-${index}-${count}`;
          created.push(container);
          await suite.ask(SUBJECTS.containerRequested, { name: container, image });
        };
        const asked = retire(image);
        if (index % 3 === 0) await Promise.all([create(1), create(2), asked]);
        if (index % 3 === 1) updates.push((await Promise.all([update(`mover-${name}-${index}`, image), asked]))[0]);
        if (index % 3 === 2)
          await Promise.all([suite.ask(SUBJECTS.imageActivationRequested, { image, defaultOs: false }), asked]);
        retirements.set(image, await asked);
      }),
    );
    const ended = new Map<string, string>();
    for (const [image, requestId] of retirements) {
      const answer = await answerOf(requestId, image);
      ended.set(image, typeof answer.reason === 'string' ? answer.reason : 'retired');
    }
    await suite.until(
      () => created.every((container) => suite.of(SUBJECTS.containerStarted, { name: container }).length === 1),
      'every creation is answered',
    );
    await suite.until(
      () =>
        updates.every(
          (requestId) =>
            suite.of(SUBJECTS.containerRejected, { requestId }).length === 1 ||
            suite.facts.some(
              ({ subject, data }) =>
                subject === SUBJECTS.containerUpdated && String(data['image']).startsWith(`${name}@`),
            ),
        ),
      'every update is answered',
    );
    for (const [image, outcome] of ended) {
      expect(await stateOf(image)).toBe(outcome === 'retired' ? 'retired' : 'promoted');
      if (outcome === 'retired') expect((await needing(image)).map((container) => container.name)).toEqual([]);
      if (outcome === 'in-use') expect((await needing(image)).length).toBeGreaterThan(0);
    }
    const summaries = (await suite.answer<Page<ImageSummary>>(QUERIES.images, { name })).items;
    expect(summaries.filter((image) => image.defaultVersion && image.state === 'retired')).toEqual([]);
    // Some retirements and uses did collide.
    expect(new Set(ended.values()).size).toBeGreaterThan(1);
  });
});
