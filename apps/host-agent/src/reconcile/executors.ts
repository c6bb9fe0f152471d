/** Executes steps. One function for each kind: a kind without one does not compile. */
import { performance } from 'node:perf_hooks';
import { containerSpec, premountFailure, softwarePath } from '../adapters/container-instance.js';
import { ioRefusal } from '../adapters/io-controls.js';
import type { ContainerSpec } from '@plinth/container-runtime';
import type { ContainerConfig, ImageUser } from '@plinth/contracts';
import type { ImageMaster, Opened } from '../adapters/image-master.js';
import type { LocalRecord } from '../domain/local-record.js';
import type { StartFailure } from '../domain/start-failure.js';
import { startingHealth } from '../domain/health.js';
import { networkOf } from '../domain/requested-network.js';
import type { StepKind, StepOf } from '../domain/step.js';
import { applyConfig } from './config-change.js';
import type { ContainerState } from './container-state.js';
import type { AgentServices } from './agent-services.js';

export type StepOutcome =
  | { readonly kind: 'done' }
  /** Nothing to do before that time, unless something changes. Milliseconds since the epoch. */
  | { readonly kind: 'wait'; readonly untilMs: number }
  /** Of an update, before any change; undefined: it can be started here. */
  | { readonly kind: 'checked'; readonly failure: StartFailure | undefined }
  /** A start can't go on. */
  | { readonly kind: 'failed'; readonly failure: StartFailure };

type Executor<K extends StepKind> = (
  step: StepOf<K>,
  state: ContainerState,
  services: AgentServices,
) => Promise<StepOutcome>;

const DONE: StepOutcome = { kind: 'done' };
/** A start that takes less time is reported as `started` only. */
const STARTING_AFTER_MS = 100;
const LOG_TAIL_BYTES = 8 * 1024;

export type Executors = { readonly [K in StepKind]: Executor<K> };

export const EXECUTORS: Executors = {
  'create-volume': async (_step, state, services) => {
    const { volumes, leases } = services;
    // The lease is read before the volume's holder: a host that takes the volume over writes its claim before it reads
    // the lease.
    const lease = leases.termOn(state.config.storageNode);
    if (!lease.ok) return { kind: 'failed', failure: lease.failure };
    if (state.preparation) state.preparation.lease = lease.value;
    const opened = await volumes.open(state.effective, wasMade(state), () => userOf(state.effective, services));
    if (!opened.ok) return { kind: 'failed', failure: opened.failure };
    if (state.preparation) state.preparation.volume = opened.value;
    return DONE;
  },

  premount: async (_step, state, services) => {
    const { preparation } = state;
    if (!preparation?.volume) throw new Error('the volume is opened before the premount checks');
    const checked = await checkBeforeStart(state.effective, preparation.volume.data, services);
    if (!checked.ok) return { kind: 'failed', failure: checked.failure };
    preparation.spec = checked.value;
    return DONE;
  },

  'check-image': async (_step, state, services) => {
    const { config } = state;
    const opened = await services.volumes.open(config, wasMade(state), () => userOf(config, services));
    const checked = opened.ok ? await checkBeforeStart(config, opened.value.data, services) : opened;
    return { kind: 'checked', failure: checked.ok ? undefined : checked.failure };
  },

  'make-snapshot': async (_step, state, { volumes }) => {
    const made = await volumes.snapshot(state.config);
    if (!made.ok) return { kind: 'failed', failure: made.failure };
    if (state.record.trial) await state.remember({ trial: { ...state.record.trial, snapshot: 'made' } });
    return DONE;
  },

  'restore-snapshot': async (_step, state, { volumes }) => {
    await volumes.restore(state.config);
    if (state.record.trial) await state.remember({ trial: { ...state.record.trial, snapshot: 'restored' } });
    return DONE;
  },

  'discard-snapshot': async (_step, state, { volumes }) => {
    await volumes.discard(state.config);
    if (state.record.trial) await state.remember({ trial: { ...state.record.trial, snapshot: undefined } });
    return DONE;
  },

  start: async (_step, state, services) => {
    const { preparation, effective: config } = state;
    if (!preparation?.spec || !preparation.volume) throw new Error('the premount checks come before the start');
    await state.saved;
    const premount = performance.now() - preparation.begun;
    const slow = setTimeout(() => {
      announced = state.report({ kind: 'starting', generation: config.generation, image: config.image });
      // It is awaited below, where its failure is thrown.
      announced.catch(() => undefined);
    }, STARTING_AFTER_MS);
    let announced: Promise<void> | undefined;
    const result = await services.containers
      .start(preparation.spec, services.networks.attach(config))
      .finally(() => clearTimeout(slow));
    await announced;
    if (!result.ok) {
      await services.networks.detach(config);
      return { kind: 'failed', failure: result.failure };
    }
    services.supply?.used(config.image);
    const { pid, startedAtMs, phases } = result.value;
    const lease = services.leases.termOn(config.storageNode);
    if (!lease.ok || lease.value !== preparation.lease) {
      // This process was paused for so long that another host may have the volume.
      await services.containers.kill(state.id);
      return {
        kind: 'failed',
        failure: lease.ok
          ? { reason: 'lease-lost', message: 'the lease ran out while the container was being started' }
          : lease.failure,
      };
    }
    state.observed = { kind: 'running', pid, startedAtMs, runGeneration: config.runGeneration, image: config.image };
    await preparation.volume.durable;
    const fresh = config.runGeneration > state.record.attemptedRunGeneration;
    await state.report(
      {
        kind: 'started',
        generation: config.generation,
        image: config.image,
        pid,
        begunAt: new Date(preparation.begunAtMs).toISOString(),
        startedAt: new Date(startedAtMs).toISOString(),
        phases: { premount, ...phases },
        restarts: state.record.starts,
        users: preparation.spec.users,
        dnsName: services.networks.nameOf(config),
        health: config.health && 'starting',
      },
      {
        attemptedGeneration: config.generation,
        attemptedRunGeneration: config.runGeneration,
        attemptedImage: config.image,
        leaseTerm: lease.value,
        starts: state.record.starts + 1,
        startedAtMs,
        health: config.health && startingHealth(state.record.starts + 1, startedAtMs),
        failedStartsInRow: 0,
        restartsInRow: fresh ? 0 : state.record.restartsInRow,
        retryAtMs: undefined,
        settled: undefined,
        stop: undefined,
        volumeMade: true,
      },
    );
    return DONE;
  },

  stop: async (step, state, services) => {
    if (state.observed.kind !== 'running') return DONE;
    if (
      state.effective.desired === 'running' &&
      services.networks.canBeKept &&
      networkOf(state.effective) !== undefined
    )
      services.containers.keepNetwork(state.id);
    const signal = step.signal ?? services.containers.stopSignalOf(state.id);
    const outcome = services.containers.requestStop(state.observed.pid, signal);
    state.signalledAtMs = state.record.stop?.signalledAtMs;
    if (outcome === 'in-vain' && state.record.stop) {
      await state.remember({ stop: { ...state.record.stop, deadlineMs: state.record.stop.signalledAtMs } });
    }
    return DONE;
  },

  apply: async (step, state, services) => {
    const { observed, effective } = state;
    const pending = observed.kind === 'running' ? await applyConfig(effective, observed.pid, services) : [];
    await state.report(pending.length > 0 ? { ...step.report, pending } : step.report);
    return DONE;
  },

  kill: async (_step, state, { containers, clock }) => {
    await containers.kill(state.id);
    const observed = await containers.awaitEnd(state.id);
    if (observed.kind === 'running') return { kind: 'wait', untilMs: clock.now() + 1_000 };
    state.observed = observed;
    return DONE;
  },

  'delete-runtime': async (_step, state, { containers, networks }) => {
    // A run that was ended for the next one, which has its network.
    const keepNetwork =
      state.observed.kind === 'exited' && state.effective.desired === 'running' && containers.hasKeptNetwork(state.id);
    // A failed start leaves nothing, and an observation costs less than a deletion without effect.
    if (state.observed.kind !== 'absent' || containers.observe(state.id).kind !== 'absent')
      await containers.delete(state.id, { keepLog: true, keepNetwork });
    if (!keepNetwork) await networks.detach(state.config);
    state.observed = { kind: 'absent' };
    return DONE;
  },

  'delete-volume': async (_step, state, { volumes, clock, logger }) => {
    const outcome = await volumes.delete(state.config);
    if (outcome === 'not-mounted') {
      logger.warn(
        { containerId: state.id, storageNode: state.config.storageNode },
        'data volume can only be deleted when its storage node is mounted',
      );
      return { kind: 'wait', untilMs: clock.now() + 30_000 };
    }
    if (outcome === 'held') {
      logger.warn(
        { containerId: state.id, dataVolume: state.config.dataVolume },
        'data volume is held by another host; it is deleted when that host has released it',
      );
      return { kind: 'wait', untilMs: clock.now() + 5_000 };
    }
    if (outcome === 'not-ours')
      logger.error(
        { containerId: state.id, dataVolume: state.config.dataVolume },
        'data volume belongs to another container and is not deleted',
      );
    return DONE;
  },

  'release-volume': async (_step, state, { volumes, clock, logger }) => {
    const outcome = await volumes.release(state.config);
    if (outcome === 'released') return DONE;
    logger.warn(
      { containerId: state.id, storageNode: state.config.storageNode },
      'data volume can only be released when its storage node is mounted',
    );
    return { kind: 'wait', untilMs: clock.now() + 5_000 };
  },

  forget: async (_step, state, { containers, logs, networks }) => {
    await containers.delete(state.id);
    await networks.detach(state.config);
    await logs.delete(state.id);
    return DONE;
  },

  'wait-until': (step) => Promise.resolve({ kind: 'wait', untilMs: step.atMs }),

  remember: async (step, state) => {
    await state.remember(step.change);
    return DONE;
  },

  report: async (step, state, { logs }) => {
    const logTail = step.withLogTail ? await logs.tail(state.id, LOG_TAIL_BYTES) : undefined;
    await state.report(logTail ? { ...step.report, logTail } : step.report, reported(step.change, logTail));
    return DONE;
  },
};

/** The spec of a start, or the reason why the container can't be started. Reads only. */
async function checkBeforeStart(
  config: ContainerConfig,
  data: string,
  { allowHostNetwork, images, io, networks, storage, supply, users }: AgentServices,
): Promise<Opened<ContainerSpec>> {
  if (config.network === 'host' && !allowHostNetwork)
    return refuse('network-not-allowed', 'this host does not allow containers on its network');
  const noNetwork = networks.refusal(config);
  if (noNetwork) return { ok: false, failure: noNetwork };
  const noIo = ioRefusal(config, io);
  if (noIo) return { ok: false, failure: noIo };
  const whose = users.usersOf(config);
  if (!whose.ok) return whose;
  const image = await imageOf(config, images, supply);
  if (!image.ok) return image;
  const spec = containerSpec(
    config,
    image.value,
    data,
    softwarePath(config, storage),
    whose.value,
    io,
    networks.resolution,
  );
  const failure = premountFailure(config, spec, image.value, storage);
  return failure ? { ok: false, failure } : { ok: true, value: spec };
}

async function imageOf(
  { contentDigest, image, storageNode }: ContainerConfig,
  images: AgentServices['images'],
  supply: AgentServices['supply'],
): Promise<Opened<ImageMaster>> {
  const failure = supply?.missing([image])?.get(image)?.failure;
  if (failure) return { ok: false, failure };
  const opened = await images.open(storageNode, image);
  if (!opened.ok || opened.value.contentDigest === contentDigest) return opened;
  return refuse(
    'image-mismatch',
    `${image} on ${storageNode} is ${opened.value.contentDigest}, the config requires ${contentDigest}`,
  );
}

/** Whom a new data volume belongs to. */
async function userOf(
  config: ContainerConfig,
  { images, supply }: AgentServices,
): Promise<Opened<ImageUser | undefined>> {
  const image = await imageOf(config, images, supply);
  return image.ok ? { ok: true, value: image.value.user } : image;
}

/** The change of the record with a report; a verdict is reported again, so the log's tail is kept with its cause. */
function reported(
  change: Partial<LocalRecord> | undefined,
  logTail: string | undefined,
): Partial<LocalRecord> | undefined {
  if (!change?.trial?.cause || logTail === undefined) return change;
  return { ...change, trial: { ...change.trial, cause: { ...change.trial.cause, logTail } } };
}

function wasMade({ config, record }: ContainerState): boolean {
  return record.volumeMade || config.volumeMade === true;
}

function refuse(reason: StartFailure['reason'], message: string): Opened<never> {
  return { ok: false, failure: { reason, message } };
}
