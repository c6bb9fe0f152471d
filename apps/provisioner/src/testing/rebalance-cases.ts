/** Rebalances with scripted hosts that hold 12 containers each: a part of the spec of moves, on its stack. */
import { describe, expect, it } from '@jest/globals';
import {
  type ContainerDetails,
  type ContainerStatus,
  type HostStatus,
  QUERIES,
  type RebalanceDetails,
  type RebalancePlan,
  SUBJECTS,
} from '@plinth/contracts';
import type { ProvisionerSuite } from './provisioner-suite.js';

const HOSTS = ['host-1', 'host-2', 'host-3'];

export function rebalanceCases(suiteOf: () => ProvisionerSuite): void {
  const containers = async (prefix: string): Promise<readonly ContainerStatus[]> =>
    (await suiteOf().answer<{ items: ContainerStatus[] }>(QUERIES.containers, {})).items.filter(({ name }) =>
      name.startsWith(prefix),
    );
  const plan = (options: object = {}): Promise<RebalancePlan> =>
    suiteOf().answer<RebalancePlan>(QUERIES.rebalancePlan, options);
  const details = (id?: string): Promise<RebalanceDetails> =>
    suiteOf().answer<RebalanceDetails>(QUERIES.rebalance, { id });
  const refused = async (subject: string, data: object): Promise<Record<string, unknown>> =>
    suiteOf().fact(SUBJECTS.rebalanceRejected, { requestId: await suiteOf().ask(subject, data) });
  const started = async (request: object): Promise<string> => {
    const requestId = await suiteOf().ask(SUBJECTS.rebalanceRequested, request);
    return String((await suiteOf().fact(SUBJECTS.rebalanceStarted, { requestId }))['rebalanceId']);
  };
  const cordon = async (subject: 'cordon' | 'uncordon', hosts: readonly string[]): Promise<void> => {
    const [ask, fact] =
      subject === 'cordon'
        ? ([SUBJECTS.hostCordonRequested, SUBJECTS.hostCordoned] as const)
        : ([SUBJECTS.hostUncordonRequested, SUBJECTS.hostUncordoned] as const);
    for (const host of hosts) await suiteOf().ask(ask, { host });
    const isCordoned = subject === 'cordon';
    await suiteOf().until(
      async () =>
        (await suiteOf().answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items
          .filter(({ host }) => hosts.includes(host))
          .every(({ cordoned }) => cordoned === isCordoned),
      `${fact} of ${hosts.join()}`,
    );
  };
  /** All on the first host. */
  const fill = async (prefix: string, count: number, more: object = {}): Promise<void> => {
    await cordon('cordon', HOSTS.slice(1));
    await suiteOf().run(prefix, count, more);
    await cordon('uncordon', HOSTS.slice(1));
  };
  const remove = async (prefix: string): Promise<void> => {
    for (const { id } of await containers(prefix)) await suiteOf().ask(SUBJECTS.containerRemoveRequested, { id });
    await suiteOf().until(async () => (await containers(prefix)).length === 0, 'all are removed');
  };

  describe('a rebalance', () => {
    it('proposes moves, and carries them out, also when a provisioner is killed in the middle; a second one does nothing', async () => {
      const suite = suiteOf();
      await fill('even', 9);
      await suite.run('job', 1, { restart: { policy: 'never' } });
      const proposed = await plan({ cooldownMinutes: 0 });
      expect(proposed).toMatchObject({ isCut: false, before: { datacenters: [{ mostOn: 'host-1', hosts: 3 }] } });
      expect(proposed.moves.length).toBeGreaterThan(3);
      expect(proposed.moves.every(({ from, name }) => from === 'host-1' && name.startsWith('even-'))).toBe(true);
      const id = await started({ cooldownMinutes: 0 });
      expect(await refused(SUBJECTS.rebalanceRequested, {})).toMatchObject({
        operation: 'start',
        reason: 'rebalance-running',
        rebalanceId: id,
      });
      await suite.until(() => suite.of(SUBJECTS.containerMoved).length > 0, 'the first has moved');
      await suite.provisioners.at(-1)?.end('SIGKILL');
      await suite.startProvisioner('provisioner-2');
      expect(await suite.fact(SUBJECTS.rebalanceFinished, { rebalanceId: id })).toMatchObject({
        state: 'completed',
        counts: { total: proposed.moves.length, moved: proposed.moves.length },
      });
      await suite.allPublished();
      expect(suite.of(SUBJECTS.containerMoved, { from: 'host-1', reason: 'rebalance' })).toHaveLength(
        proposed.moves.length,
      );
      expect([...suite.hosts.running.values()].filter((on) => on.size > 1)).toEqual([]);
      const now = await containers('even');
      expect(now.every(({ state }) => state === 'running')).toBe(true);
      for (const { containerId, to } of (await details(id)).moves) {
        const moved = await suite.answer<ContainerDetails>(QUERIES.container, { id: containerId });
        expect(moved.host).toBe(to);
        expect(moved.history.map(({ message }) => message)).toContainEqual(
          expect.stringMatching(/\(rebalance: host-1 /),
        );
      }
      const hosts = (await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items;
      const all = await containers('');
      for (const { host, allocated } of hosts)
        expect(allocated.containers).toBe(all.filter((each) => each.host === host).length);
      expect(await plan()).toMatchObject({ moves: [] });
      expect(await plan({ cooldownMinutes: 0 })).toMatchObject({ moves: [] });
      expect(await refused(SUBJECTS.rebalanceRequested, {})).toMatchObject({ reason: 'nothing-to-move' });
      await remove('even');
      await remove('job');
    });

    it('has one of a group down at a time, and is cancelled: what is in progress ends, nothing else is begun', async () => {
      const suite = suiteOf();
      await fill('lone', 3);
      await fill('web', 6, { group: 'web' });
      suite.hosts.deaf.add('host-1');
      const id = await started({ cooldownMinutes: 0, atOnce: 10 });
      const moving = async (): Promise<readonly string[]> =>
        (await details(id)).moves.flatMap(({ phase, name }) => (phase === 'moving' ? [name.split('-')[0] ?? ''] : []));
      const lone = (await details(id)).moves.filter(({ name }) => name.startsWith('lone')).length;
      await suite.until(
        async () => (await moving()).filter((name) => name === 'lone').length === lone,
        'all others are on their way',
      );
      expect((await moving()).filter((name) => name === 'web').length).toBeLessThanOrEqual(1);
      await suite.until(async () => (await moving()).includes('web'), 'one of the group is on its way');
      await suite.ask(SUBJECTS.rebalanceCancelRequested, { rebalanceId: id });
      await suite.fact(SUBJECTS.rebalanceCancelled, { rebalanceId: id });
      expect(await refused(SUBJECTS.rebalanceCancelRequested, { rebalanceId: id })).toMatchObject({
        operation: 'cancel',
        reason: 'wrong-state',
      });
      suite.hosts.wake('host-1');
      expect(await suite.fact(SUBJECTS.rebalanceFinished, { rebalanceId: id })).toMatchObject({
        state: 'cancelled',
        counts: { moved: lone + 1, pending: 0, moving: 0 },
      });
      await suite.until(
        async () => (await containers('')).every(({ state }) => state === 'running'),
        'what was moved runs',
      );
      await remove('web');
      await remove('lone');
    });

    it('stops by itself after failures in a row, and says why', async () => {
      const suite = suiteOf();
      await fill('broken', 9);
      for (let index = 0; index < 9; index++) suite.hosts.failing.add(`broken-${index}`);
      const id = await started({ cooldownMinutes: 0, maxFailures: 2 });
      expect(await suite.fact(SUBJECTS.rebalanceFinished, { rebalanceId: id })).toMatchObject({
        state: 'stopped',
        counts: { failed: 2, moved: 0 },
        message: expect.stringMatching(/^2 moves in a row failed, the last one: broken-\d: it failed on host-\d/),
      });
      suite.hosts.failing.clear();
      await remove('broken');
    });

    it('that can not be is refused', async () => {
      expect(await refused(SUBJECTS.rebalanceRequested, { datacenter: 'nowhere' })).toMatchObject({
        reason: 'datacenter-not-found',
      });
      for (const bad of [
        { maxMoves: 0 },
        { maxMoves: 1e9 },
        { thresholdPercent: -1 },
        { atOnce: 1.5 },
        { tenant: '../x' },
      ])
        expect(await refused(SUBJECTS.rebalanceRequested, bad)).toMatchObject({ reason: 'invalid-request' });
      expect(await refused(SUBJECTS.rebalanceCancelRequested, { rebalanceId: '0'.repeat(32) })).toMatchObject({
        operation: 'cancel',
        reason: 'rebalance-not-found',
      });
    });
  });
}
