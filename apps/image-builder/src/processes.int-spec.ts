/** Builders that share work, die and stop. */
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import { DataSource } from 'typeorm';
import { BuilderSuite } from './testing/builder-suite.js';

const suite = BuilderSuite.install();

describe('several builders', () => {
  it('share the work and assign every version once', async () => {
    const builders = await Promise.all([suite.start('builder-1'), suite.start('builder-2')]);
    const name = suite.newName();
    const requests = await Promise.all(Array.from({ length: 8 }, () => suite.build(suite.recipe(name))));
    const results = await Promise.all(requests.map((id) => suite.tested(id)));
    expect(results.map((fact) => fact.data['version']).sort()).toEqual([
      'v1',
      'v2',
      'v3',
      'v4',
      'v5',
      'v6',
      'v7',
      'v8',
    ]);
    for (const id of requests)
      expect(
        suite.facts.filter((fact) => fact.correlationId === id && fact.subject === SUBJECTS.imageBuilding),
      ).toHaveLength(1);
    for (const builder of builders)
      expect(builder.log.filter((line) => line.msg === 'image tested').length).toBeGreaterThan(0);
    suite.expectNothingLeft();
  });

  it('build once for an event that comes twice', async () => {
    await Promise.all([suite.start('builder-1'), suite.start('builder-2')]);
    const name = suite.newName();
    const event = { subject: SUBJECTS.imageRequested, data: { recipe: suite.recipe(name) } };
    const first = await suite.publisher.publish({ ...event, id: 'the same event' });
    // After the bus's window for duplicates the same event is another message.
    const jetstream = suite.connection.jetstream({ timeout: 60_000 });
    const stored = await (
      await suite.connection.jetstreamManager()
    ).streams.getMessage('PLINTH_EVENTS', { seq: first.sequence });
    stored.header.delete('Nats-Msg-Id');
    await jetstream.publish(SUBJECTS.imageRequested, stored.data, { headers: stored.header });
    expect((await suite.tested('the same event')).data['version']).toBe('v1');
    await suite.allHandled();
    expect(suite.facts.filter((fact) => fact.correlationId === 'the same event').map((fact) => fact.subject)).toEqual([
      SUBJECTS.imageBuilding,
      SUBJECTS.imageBuilt,
      SUBJECTS.imageTested,
    ]);
  });
});

describe('a builder that dies', () => {
  it.each([300, 900, 1_500])('in a build after %i ms leaves nothing running, and the build is finished', async (ms) => {
    const builder = await suite.start();
    const requestId = await suite.build(
      suite.recipe(
        suite.newName(),
        'run: [[/bin/sleep, "1.234"]]\ntests: [{ name: slow, run: [/bin/sleep, "0.5"] }]\n',
      ),
    );
    await suite.answer(requestId, [SUBJECTS.imageBuilding]);
    await delay(ms);
    await builder.end('SIGKILL');
    await suite.until(
      () => !/sleep 1\.234/.test(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })),
      'the end of what the build ran',
    );
    await suite.start();
    expect((await suite.tested(requestId)).data['version']).toBe('v1');
    expect(
      suite.facts.filter((fact) => fact.correlationId === requestId && fact.subject === SUBJECTS.imageTested),
    ).toHaveLength(1);
    suite.expectNothingLeft();
  });

  it('or is asked to stop leaves its build to another', async () => {
    const builder = await suite.start('builder-1');
    const requestId = await suite.build(suite.recipe(suite.newName(), 'run: [[/bin/sleep, "10"]]\n'));
    await suite.answer(requestId, [SUBJECTS.imageBuilding]);
    expect(await builder.end('SIGTERM')).toBe(0);
    // It did not wait for its end.
    expect(suite.of(requestId)).not.toContain(SUBJECTS.imageBuilt);
    await suite.start('builder-2');
    await suite.tested(requestId);
    suite.expectNothingLeft();
  });
});

describe('a builder whose lease has run out', () => {
  it('does not begin its own build a second time', async () => {
    await suite.start();
    const requestId = await suite.build(suite.recipe(suite.newName(), 'run: [[/bin/sleep, "3"]]\n'));
    await suite.answer(requestId, [SUBJECTS.imageBuilding]);
    const source = await new DataSource({ type: 'postgres', url: suite.postgres.url }).initialize();
    // As when the database was away for so long.
    await source.query(`UPDATE image_builder.image_build SET lease_until = now() WHERE request_id = $1`, [requestId]);
    await suite.tested(requestId);
    expect(
      await source.query('SELECT attempts FROM image_builder.image_build WHERE request_id = $1', [requestId]),
    ).toEqual([{ attempts: 1 }]);
    await source.destroy();
  });
});
