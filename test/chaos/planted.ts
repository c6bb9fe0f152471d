/** Bugs for the harness to find: each a change of one line in its copy of the installation. */
import type { Edit } from './installation.js';

export interface PlantedBug extends Edit {
  readonly what: string;
}

const OUTBOX = 'libs/service-kit/dist/persistence/outbox.js';
const TRANSPORT = 'libs/service-kit/dist/messaging/jetstream.strategy.js';
const FLEET = 'apps/host-agent/build/reconcile/fleet.js';

export const PLANTED: Readonly<Record<string, PlantedBug>> = {
  'inbox-off': {
    what: 'a message that comes twice is handled twice',
    file: 'libs/service-kit/dist/persistence/outbox-rows.js',
    find: 'return rows.length === 1;\n}',
    replace: 'return true;\n}',
  },
  'ack-first': {
    what: 'a message is acknowledged before it is handled',
    file: TRANSPORT,
    find: 'const outcome = await this.run(',
    replace: 'message.ack(); const outcome = await this.run(',
  },
  'sent-unsent': {
    what: 'an event counts as sent when the bus did not take it',
    file: OUTBOX,
    find: 'await this.findForgotten(manager, sent, rows[0]?.begun);',
    replace:
      "await this.markSent(manager, results.map((result, index) => result.status === 'fulfilled' ? result.value : { row: rows[index].sequence, stream: '', sequence: 0, duplicate: true }));",
  },
  'no-dedupe-id': {
    what: 'an event is sent again under another id',
    file: OUTBOX,
    find: 'id: row.id,',
    replace: 'id: row.id.slice(8) + Date.now().toString(16).slice(-8),',
  },
  'no-adopt': {
    what: 'an agent that starts adopts no running container',
    file: FLEET,
    find: 'const observed = containers.observeAll();',
    replace: 'const observed = new Map();',
  },
  'exits-unseen': {
    what: 'an agent does not notice that a container has ended',
    file: 'apps/host-agent/build/reconcile/container-actor.js',
    find: 'this.stale = true;',
    replace: '',
  },
  'generation-ignored': {
    what: 'an agent applies an older config',
    file: FLEET,
    find: 'if (actor && config.generation <= actor.state.config.generation)',
    replace: 'if (false)',
  },
  'cgroup-left': {
    what: 'the cgroup of a container is left behind',
    file: 'libs/container-runtime/dist/kernel/cgroups.js',
    find: 'for (const directory of cgroupDirectories(group)) {',
    replace: 'for (const directory of []) {',
  },
  'monitor-left': {
    what: 'a container is forgotten without being ended',
    file: 'apps/host-agent/build/adapters/oci-containers.js',
    find: "return timed('delete', this.runtime.delete(id, { keepLog, keepNetwork }));",
    replace: 'return Promise.resolve();',
  },
  'staging-left': {
    what: 'a distributor does not remove half an extraction',
    file: 'apps/distributor/build/distribution/resumption.js',
    find: 'await staging.cleanLeftovers(',
    replace: 'await (async () => undefined)(',
  },
  'stale-reports': {
    what: 'the provisioner accepts an older report',
    file: 'apps/provisioner/build/reports/domain/reports.js',
    find: 'if (report.sequence <= record.reportSequence)',
    replace: 'if (false)',
  },
  unfenced: {
    what: 'the volume of a lost host is taken over before its lease has run out',
    file: 'apps/provisioner/build/moves/domain/relocation.js',
    find: '!hasRunOut(lease)',
    replace: 'false',
  },
};
