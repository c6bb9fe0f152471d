/** Containers that move between hosts, with two provisioners and scripted hosts, on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ContainerConfig,
  type ContainerDetails,
  type ContainerStatus,
  desiredContainer,
  type HostStatus,
  QUERIES,
  STREAMS,
  SUBJECTS,
} from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';
import { rebalanceCases } from '../testing/rebalance-cases.js';

const RENEWAL = 'a'.repeat(32);
const FENCED_MS = 20_000;

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, ['host-1', 'host-2', 'host-3'], 12, {
    PLINTH_HOST_LOST_SECONDS: '6',
    PLINTH_PLACEMENT: 'round-robin',
  });
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const containers = async (prefix: string): Promise<readonly ContainerStatus[]> =>
  (await suite.answer<{ items: ContainerStatus[] }>(QUERIES.containers, {})).items.filter(({ name }) =>
    name.startsWith(prefix),
  );
const host = async (name: string): Promise<HostStatus> => {
  const found = (await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items.find(
    (item) => item.host === name,
  );
  if (!found) throw new Error(`no ${name}`);
  return found;
};
const allRun = (prefix: string, not: string): Promise<unknown> =>
  suite.until(
    async () => (await containers(prefix)).every((item) => item.state === 'running' && item.host !== not),
    `all ${prefix} run, none on ${not}`,
  );
async function remove(prefix: string): Promise<void> {
  for (const { id } of await containers(prefix)) await suite.ask(SUBJECTS.containerRemoveRequested, { id });
  await suite.until(async () => (await containers(prefix)).length === 0, 'all are removed');
}

describe('a host', () => {
  it('that is cordoned gets nothing new, until it is uncordoned', async () => {
    await suite.ask(SUBJECTS.hostCordonRequested, { host: 'host-1' });
    await suite.fact(SUBJECTS.hostCordoned, { host: 'host-1' });
    await suite.run('cordoned', 6);
    expect((await containers('cordoned')).filter((item) => item.host === 'host-1')).toEqual([]);
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-1' });
    await suite.fact(SUBJECTS.hostUncordoned, { host: 'host-1' });
    await suite.run('uncordoned', 6);
    expect((await containers('uncordoned')).map((item) => item.host)).toContain('host-1');
    await remove('cordoned');
    await remove('uncordoned');
  });

  it('that is drained loses its containers one by one, each started once elsewhere; stopped ones stay stopped', async () => {
    await suite.run('drained', 9);
    const [stopped] = (await containers('drained')).filter((item) => item.host === 'host-1');
    await suite.ask(SUBJECTS.containerStopRequested, { id: stopped?.id });
    await suite.fact(SUBJECTS.containerStopped, { containerId: stopped?.id });
    const leaving = (await containers('drained')).filter((item) => item.host === 'host-1').length;
    await suite.ask(SUBJECTS.hostDrainRequested, { host: 'host-1' });
    expect(await suite.fact(SUBJECTS.hostDrained, { host: 'host-1' })).toMatchObject({ moved: leaving });
    const after = await containers('drained');
    expect(after.filter((item) => item.host === 'host-1')).toEqual([]);
    expect(after.find(({ id }) => id === stopped?.id)).toMatchObject({ state: 'stopped', desired: 'stopped' });
    await suite.allPublished();
    expect(suite.of(SUBJECTS.containerMoved, { from: 'host-1', reason: 'drain' })).toHaveLength(leaving);
    expect([...suite.hosts.running.values()].filter((on) => on.size > 1)).toEqual([]);
    expect(await host('host-1')).toMatchObject({ cordoned: true, drain: null, allocated: { containers: 0 } });
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-1' });
    await suite.fact(SUBJECTS.hostUncordoned, { host: 'host-1' });
    await remove('drained');
    for (const name of ['host-1', 'host-2', 'host-3'])
      expect((await host(name)).allocated).toMatchObject({ containers: 0, memoryBytes: 0 });
  });

  it('that is uncordoned while its drain decides on a container is not drained any more', async () => {
    await suite.run('kept', 3);
    const before = await containers('kept');
    const name = before[0]?.host ?? '';
    await suite.inTransaction(async (lock) => {
      await lock(`SELECT 1 FROM containers WHERE host = '${name}' FOR UPDATE`);
      await suite.ask(SUBJECTS.hostDrainRequested, { host: name });
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND query LIKE '%FROM containers WHERE id = $1 FOR UPDATE'`;
      await suite.until(async () => (await suite.rows(waiting)).length > 0, 'the drain is at the container');
      await suite.ask(SUBJECTS.hostUncordonRequested, { host: name });
      await suite.fact(SUBJECTS.hostUncordoned, { host: name });
    });
    const decided = `SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory')`;
    await suite.until(async () => (await suite.rows(decided)).length > 0, 'the drain has decided');
    expect(await host(name)).toMatchObject({ cordoned: false, drain: null });
    const places = (of: readonly ContainerStatus[]): readonly unknown[] =>
      of.map((item) => [item.id, item.host, item.desired]);
    expect(places(await containers('kept'))).toEqual(places(before));
    await remove('kept');
  });

  it('that is drained while no other has room reports so, and continues when there is room', async () => {
    await suite.run('full', 36);
    await suite.ask(SUBJECTS.hostDrainRequested, { host: 'host-2' });
    await suite.until(
      async () => /no host has room/.test((await host('host-2')).drain?.waiting ?? ''),
      'the drain reports why it waits',
    );
    for (const { id } of (await containers('full')).filter((item) => item.host !== 'host-2').slice(0, 12))
      await suite.ask(SUBJECTS.containerRemoveRequested, { id });
    await suite.fact(SUBJECTS.hostDrained, { host: 'host-2' });
    await allRun('full', 'host-2');
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-2' });
    await suite.fact(SUBJECTS.hostUncordoned, { host: 'host-2' });
    await remove('full');
  });

  it('that is drained loses its containers to hosts that are as they asked for, else they wait', async () => {
    for (const [name, rack] of [
      ['host-1', 'r1'],
      ['host-2', 'r2'],
      ['host-3', 'r1'],
    ] as const)
      await suite.ask(SUBJECTS.hostLabelRequested, { host: name, set: { rack } });
    await suite.until(async () => (await host('host-3')).labels['rack'] === 'r1', 'the labels are set');
    const constraints = [{ key: 'rack', operator: 'in', values: ['r1'] }];
    await suite.run('racked', 4, { constraints });
    await suite.run('alone', 2, { constraints, group: 'alone', antiAffinity: { isRequired: true } });
    expect((await containers('alone')).map((item) => item.host).sort()).toEqual(['host-1', 'host-3']);
    await suite.ask(SUBJECTS.hostDrainRequested, { host: 'host-1' });
    await allRun('racked', 'host-1');
    expect((await containers('racked')).map((item) => item.host)).toEqual(Array.from({ length: 4 }, () => 'host-3'));
    await suite.until(
      async () => /without a container of the group alone/.test((await host('host-1')).drain?.waiting ?? ''),
      'the drain reports why it waits',
    );
    await suite.ask(SUBJECTS.hostLabelRequested, { host: 'host-2', set: { rack: 'r1' } });
    await suite.fact(SUBJECTS.hostDrained, { host: 'host-1' });
    expect((await containers('alone')).map((item) => item.host).sort()).toEqual(['host-2', 'host-3']);
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-1' });
    await suite.fact(SUBJECTS.hostUncordoned, { host: 'host-1' });
    await remove('racked');
    await remove('alone');
  });

  it('that is unknown gets every request refused', async () => {
    const id = await suite.ask(SUBJECTS.hostDrainRequested, { host: 'nowhere' });
    expect(await suite.fact(SUBJECTS.hostRejected, { requestId: id })).toMatchObject({
      operation: 'drain',
      reason: 'host-not-found',
    });
    const bad = await suite.ask(SUBJECTS.hostCordonRequested, { host: '../x' });
    expect(await suite.fact(SUBJECTS.hostRejected, { requestId: bad })).toMatchObject({
      operation: 'cordon',
      reason: 'invalid-request',
    });
  });

  it('that is lost keeps its containers while its lease holds; then they are started elsewhere, and it releases them when it is back', async () => {
    await suite.run('lost', 9, { group: 'lost', spread: { over: 'host' } });
    const there = (await containers('lost')).filter((item) => item.host === 'host-3');
    expect(there.length).toBeGreaterThan(0);
    const elsewhere = (await containers('lost')).filter((item) => item.host === 'host-2').length;
    for (const name of ['host-2', 'host-3']) suite.hosts.silent.add(name);
    suite.hosts.leases.set('host-2', { renewal: RENEWAL, unrenewedMs: FENCED_MS });
    suite.hosts.leases.set('host-3', { renewal: RENEWAL, unrenewedMs: 5_000 });
    await suite.fact(SUBJECTS.hostLost, { host: 'host-3' });
    await suite.until(
      async () =>
        (await containers('lost')).filter((item) => item.state === 'lost' && item.message?.includes('lease')).length >=
        there.length,
      'they wait, and report the reason',
    );
    // Both are checked in the same turns.
    await suite.until(
      () => suite.of(SUBJECTS.containerMoved, { from: 'host-2', reason: 'host-lost' }).length === elsewhere,
      'those of the other lost host move',
    );
    expect(suite.of(SUBJECTS.containerMoved, { from: 'host-3' })).toEqual([]);
    const [unwanted, ...wanted] = there;
    await suite.ask(SUBJECTS.containerRemoveRequested, { id: unwanted?.id });
    suite.hosts.leases.set('host-3', { renewal: RENEWAL, unrenewedMs: FENCED_MS });
    await suite.fact(SUBJECTS.containerRemoved, { containerId: unwanted?.id });
    // Its data were deleted by a ready host.
    expect(suite.hosts.containers.get(unwanted?.id ?? '')?.config).toMatchObject({
      host: 'host-1',
      desired: 'removed',
      deleteData: true,
      takeovers: [{ from: 'host-3', renewal: RENEWAL }],
    });
    await allRun('lost', 'host-3');
    await suite.allPublished();
    expect(suite.of(SUBJECTS.containerMoved, { from: 'host-3', reason: 'host-lost' })).toHaveLength(wanted.length);
    // Why they are there.
    for (const { id, host } of await containers('lost'))
      expect(await suite.answer<ContainerDetails>(QUERIES.container, { id })).toMatchObject({ placement: { host } });
    for (const { id } of wanted)
      expect(suite.hosts.containers.get(id)?.config.takeovers).toEqual([{ from: 'host-3', renewal: RENEWAL }]);
    const pending = (await containers('lost')).length;
    suite.hosts.leases.set('host-3', { renewal: 'b'.repeat(32), unrenewedMs: 0 });
    suite.hosts.silent.delete('host-2');
    suite.hosts.wake('host-3');
    await suite.fact(SUBJECTS.hostRecovered, { host: 'host-2' });
    await suite.fact(SUBJECTS.hostRecovered, { host: 'host-3' });
    await suite.run('after', 3);
    await suite.until(
      () => suite.hosts.running.get(unwanted?.id ?? '')?.has('host-3') === false,
      'it reported the container that was removed meanwhile',
    );
    expect((await containers('lost')).filter((item) => item.state === 'running')).toHaveLength(pending);
    expect((await host('host-3')).allocated.containers).toBe(
      (await containers('')).filter((item) => item.host === 'host-3').length,
    );
    await remove('lost');
    await remove('after');
  });

  it('that has not removed a container yet is asked for nothing else of it', async () => {
    await suite.run('going', 1);
    const [going] = await containers('going');
    const at = going?.host ?? '';
    suite.hosts.deaf.add(at);
    await suite.ask(SUBJECTS.containerRemoveRequested, { id: going?.id });
    // Requests of different subjects have no order.
    await suite.until(async () => (await containers('going'))[0]?.desired === 'removed', 'the removal is decided');
    for (const [operation, subject] of [
      ['restart', SUBJECTS.containerRestartRequested],
      ['start', SUBJECTS.containerStartRequested],
      ['stop', SUBJECTS.containerStopRequested],
    ] as const) {
      const requestId = await suite.ask(subject, { id: going?.id });
      expect(await suite.fact(SUBJECTS.containerRejected, { requestId })).toMatchObject({
        operation,
        reason: 'wrong-state',
      });
    }
    suite.hosts.wake(at);
    await suite.fact(SUBJECTS.containerRemoved, { containerId: going?.id });
  });

  it('that is marked as lost while its heartbeat arrives gets its containers back', async () => {
    await suite.run('marked', 3);
    const there = (await containers('marked')).filter((item) => item.host === 'host-1').map(({ id }) => id);
    expect(there.length).toBeGreaterThan(0);
    // As the sweep for silent hosts does it, until a heartbeat waits for the row.
    await suite.inTransaction(async (query) => {
      await query(`UPDATE hosts SET state = 'lost' WHERE host = 'host-1'`);
      await query(`UPDATE containers SET state_before_lost = state, state = 'lost' WHERE host = 'host-1'`);
      await suite.until(
        async () =>
          (await suite.rows(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'hosts'`))
            .length > 0,
        'a heartbeat waits',
      );
    });
    await suite.fact(SUBJECTS.hostRecovered, { host: 'host-1' });
    expect(
      (await containers('marked')).filter((item) => item.host === 'host-1' && item.state === 'running'),
    ).toHaveLength(there.length);
    await remove('marked');
  });

  it('that released a container, which then finds no host, frees its room once and gets no further config', async () => {
    await suite.ask(SUBJECTS.hostCordonRequested, { host: 'host-3' });
    await suite.fact(SUBJECTS.hostCordoned, { host: 'host-3' });
    await suite.run('unplaced', 4);
    suite.hosts.deaf.add('host-1');
    await suite.ask(SUBJECTS.hostDrainRequested, { host: 'host-1' });
    const leaving = async (): Promise<ContainerStatus | undefined> =>
      (await containers('unplaced')).find(({ desired }) => desired === 'released');
    const first = await suite.until(leaving, 'the first is asked to leave');
    suite.hosts.leases.set('host-2', { renewal: RENEWAL, unrenewedMs: 0 });
    suite.hosts.silent.add('host-2');
    await suite.fact(SUBJECTS.hostLost, { host: 'host-2' });
    suite.hosts.wake('host-1');
    await suite.until(
      async () => /no other ready host/.test((await leaving())?.message ?? ''),
      'it reports why it waits',
    );
    suite.hosts.reportAgain(first.id);
    const releases = async (): Promise<number> =>
      (await suite.answer<ContainerDetails>(QUERIES.container, { id: first.id })).history.filter(
        ({ kind }) => kind === 'released',
      ).length;
    await suite.until(async () => (await releases()) === 2, 'the release was processed twice');
    const stay = (await containers('unplaced')).filter((item) => item.host === 'host-1' && item.id !== first.id);
    expect((await host('host-1')).allocated.containers).toBe(stay.length);
    const jsm = await suite.connection.jetstreamManager();
    const desired = (id: string): Promise<boolean> =>
      jsm.streams.getMessage(STREAMS.desired.name, { last_by_subj: desiredContainer('host-1', id) }).then(
        () => true,
        () => false,
      );
    await suite.until(async () => !(await desired(first.id)), 'its host has no config left');
    for (const { id } of stay) expect(await desired(id)).toBe(true);
    suite.hosts.wake('host-2');
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-3' });
    await suite.fact(SUBJECTS.hostDrained, { host: 'host-1' });
    await allRun('unplaced', 'host-1');
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: 'host-1' });
    await suite.fact(SUBJECTS.hostUncordoned, { host: 'host-1' });
    await remove('unplaced');
    for (const name of ['host-1', 'host-2', 'host-3'])
      expect((await host(name)).allocated).toMatchObject({ containers: 0 });
  });

  it('that goes silent is suspected before it is lost', async () => {
    suite.hosts.silent.add('host-1');
    await suite.until(async () => (await host('host-1')).state === 'suspect', 'it is suspected');
    suite.hosts.wake('host-1');
    await suite.until(async () => (await host('host-1')).state === 'ready', 'its heartbeats arrive again');
    expect(suite.of(SUBJECTS.hostLost)).toEqual([]);
  });
});

describe('an older config that reaches a host', () => {
  const again = async (config: ContainerConfig): Promise<void> => {
    // The host has forgotten it meanwhile.
    suite.hosts.containers.delete(config.containerId);
    suite.hosts.running.delete(config.containerId);
    // It may be released at once: that it runs is not seen for sure.
    const before = suite.hosts.starts.length;
    await suite.jetstream.publish(desiredContainer(config.host, config.containerId), JSON.stringify(config));
    await suite.until(() => suite.hosts.starts.length > before, 'it was started');
  };
  const gone = (config: ContainerConfig): Promise<unknown> =>
    suite.until(() => suite.hosts.running.get(config.containerId)?.has(config.host) === false, 'it was ended');

  it('of a container that was removed does not bring it back', async () => {
    await suite.run('zombie', 1);
    const [{ id } = { id: '' }] = await containers('zombie');
    const { config } = suite.hosts.containers.get(id) ?? {};
    if (!config) throw new Error('no config');
    await remove('zombie');
    await again(config);
    await gone(config);
    expect(await containers('zombie')).toEqual([]);
  });

  it('of a container that was moved does not bring it back there', async () => {
    await suite.run('returned', 1);
    const [{ id } = { id: '' }] = await containers('returned');
    const { config } = suite.hosts.containers.get(id) ?? {};
    if (!config) throw new Error('no config');
    await suite.ask(SUBJECTS.hostDrainRequested, { host: config.host });
    await suite.fact(SUBJECTS.hostDrained, { host: config.host });
    await allRun('returned', config.host);
    const { host: now } = suite.hosts.containers.get(id)?.config ?? {};
    await again(config);
    await gone(config);
    expect(await containers('returned')).toMatchObject([{ host: now, state: 'running' }]);
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: config.host });
    await suite.fact(SUBJECTS.hostUncordoned, { host: config.host });
    await remove('returned');
  });
});

rebalanceCases(() => suite);

it('a provisioner that is killed in the middle of a drain loses none and starts none twice', async () => {
  await suite.run('killed', 12);
  await suite.ask(SUBJECTS.hostDrainRequested, { host: 'host-1', parallel: 2 });
  await suite.until(() => suite.of(SUBJECTS.containerMoved).length > 0, 'the first has moved');
  const [first] = suite.provisioners;
  await first?.end('SIGKILL');
  await suite.startProvisioner('provisioner-1');
  await suite.fact(SUBJECTS.hostDrained, { host: 'host-1' });
  await allRun('killed', 'host-1');
  expect([...suite.hosts.running.values()].filter((on) => on.size > 1)).toEqual([]);
  await remove('killed');
});
