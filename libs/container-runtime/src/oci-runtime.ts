import { availableParallelism } from 'node:os';
import { bothSettled } from './run/both-settled.js';
import { makeBundle, writeBundle } from './run/bundle.js';
import { CgroupLock } from './kernel/cgroup-lock.js';
import { CompiledFilter } from './kernel/compiled-filter.js';
import { cgroupProcesses, killCgroup, removeCgroups } from './kernel/cgroups.js';
import { cgroupContainerIds, containerGroup } from './kernel/container-group.js';
import { limitShare } from './kernel/cgroup-shares.js';
import { createWithConmon, logFile } from './run/conmon.js';
import { conmonEnded, takeMonitor } from './run/conmon-end.js';
import { ContainerCheck, endInterruptedCommands } from './run/container-check.js';
import { execInContainer, type ExecOptions, type ExecResult } from './run/container-exec.js';
import type { ContainerSpec } from './spec/container-spec.js';
import { closeNamespaces, type OwnNamespaces, pathOfDescriptor, pathsOfNamespaces } from './kernel/user-namespace.js';
import { NamespacePool } from './kernel/namespace-pool.js';
import { heldLimits, type LimitPolicy, missingLimits, unheldLimits } from './kernel/held-limits.js';
import { monitorGroup, type OutlivingGroup } from './kernel/outliving-group.js';
import { giveInitItsCgroup, initAnnotations } from './kernel/init-cgroup.js';
import { firstProcess } from './kernel/runtime-state.js';
import { startFirstProcess } from './run/first-process-start.js';
import { removeFiles } from './run/removed-files.js';
import { ExitWatch } from './run/exit-watch.js';
import { KeptNetworks } from './run/kept-networks.js';
import { ContainerStuckError, endStart, mayBeStarting } from './run/interrupted-start.js';
import {
  conmonPid,
  knownIds,
  observeContainer,
  readExit,
  type ExitStatus,
  type ObservedContainer,
} from './run/observed-container.js';
import { buildOciConfig, RANGE_SIZE } from './spec/oci-config.js';
import { sharesOfProcessor } from './spec/processor-share.js';
import { MOUNT_SCRIPT_DEADLINE_SECONDS } from './spec/script-jail.js';
import { isRunning, sendSignal } from './kernel/process-table.js';
import { OwnUsers, type PreparedUsers } from './run/own-users.js';
import { detectRuntimeBinary, findConmon, type RuntimeBinary } from './run/runtime-binary.js';
import { removeRuntimeDirectories } from './run/runtime-directories.js';
import { instanceName, makeRuntimeDirectories, runtimePaths, type RuntimePaths } from './run/runtime-paths.js';
import { CGROUP_MOUNT, isSystemContainer } from './spec/system-container.js';
import { limitNotHeld, scriptTimeout, startFailure, type StartFailure } from './spec/start-failure.js';
import type { StartOptions, StartResult } from './spec/start-result.js';

export interface OciRuntimeOptions {
  /** Absolute path of a directory of this instance's own; made when missing. */
  readonly stateDirectory: string;
  /** Absent: detected. */
  readonly binary?: RuntimeBinary;
  /** Time from request to a started first process, ms. */
  readonly startDeadlineMs?: number;
  /** For a custom mount script, seconds. */
  readonly hookDeadlineSeconds?: number;
  /** Bytes of log per container, after which conmon begins a new log. */
  readonly logLimitBytes?: number;
  /** Absent: `required`. */
  readonly limits?: LimitPolicy;
  /** Processors that all containers of this machine may be promised together; absent: those that it has. */
  readonly promisedCpus?: number;
}

const START_DEADLINE_MS = 30_000;
/** After its deadline the runtime has this long to end a mount script. */
const SCRIPT_END_MS = 1_000;
const KILL_DEADLINE_MS = 10_000;
/** Longer than the second for which version 1 keeps an old list of processes, so that each round sees a new one. */
const CGROUP_ROUND_MS = 1500;
const CGROUP_ROUNDS = 6;
const LOG_LIMIT_BYTES = 10 * 1024 ** 2;

/**
 * Runs containers through crun or runc. Keeps no table of its own: every answer is read from the runtime's state,
 * cgroups, /proc and conmon's files, so a restarted service sees what is really there. Calls for one id must not
 * overlap; different ids may.
 */
export class OciRuntime {
  readonly binary: RuntimeBinary;
  readonly paths: RuntimePaths;
  readonly instance: string;
  /** Where the monitors of containers are, and what else outlives this process. */
  readonly monitors: OutlivingGroup;
  /** What the cgroups of this machine can't hold containers to. */
  readonly missingLimits = missingLimits();
  /** What a container counts that may use one processor. */
  readonly sharesOfProcessor: number;
  readonly #options: OciRuntimeOptions;
  readonly #hookDeadlineSeconds: number;
  readonly #conmon: string;
  readonly #exits: ExitWatch;
  readonly #users: OwnUsers;
  readonly #namespaces = new NamespacePool();
  readonly #kept = new KeptNetworks();
  readonly #cgroupLock = new CgroupLock();
  /** Every container has the same profile. */
  readonly #filter = new CompiledFilter();

  /** Throws RuntimeMissingError when there is no usable runtime or no conmon. */
  constructor(options: OciRuntimeOptions) {
    this.#options = options;
    this.sharesOfProcessor = sharesOfProcessor(availableParallelism(), options.promisedCpus);
    this.#hookDeadlineSeconds = options.hookDeadlineSeconds ?? MOUNT_SCRIPT_DEADLINE_SECONDS;
    this.binary = options.binary ?? detectRuntimeBinary();
    this.#conmon = findConmon();
    this.paths = runtimePaths(options.stateDirectory);
    this.instance = instanceName(options.stateDirectory);
    this.monitors = monitorGroup(this.instance);
    makeRuntimeDirectories(this.paths);
    this.#exits = new ExitWatch(this.paths.exits);
    this.#users = new OwnUsers(this.paths, this.binary);
  }

  /**
   * Prepares a start that follows within milliseconds: begins the waits that can be done meanwhile. Returns at once; a
   * start without it only takes longer.
   */
  expectStart(): void {
    this.#cgroupLock.warmUp();
  }

  /**
   * Starts a container and returns when its first process has been let go. A failed start leaves nothing behind.
   * Throws only for what is not the container's fault, e.g. a state directory that cannot be written.
   */
  async start(spec: ContainerSpec, { inNetwork, inKeptNetwork, onCreated }: StartOptions = {}): Promise<StartResult> {
    const began = performance.now();
    this.expectStart();
    if (observeContainer(this.paths, this.cgroupOf(spec.id), spec.id) !== undefined) {
      return { ...startFailure(''), reason: 'already-exists', message: `container ${spec.id} exists; delete it first` };
    }
    const deadlineMs = this.#options.startDeadlineMs ?? START_DEADLINE_MS;
    const deadline = AbortSignal.timeout(deadlineMs);
    let created: number | undefined;
    // runc ends the script only, and waits for what it has left.
    const ofScript = spec.mountScript.custom
      ? AbortSignal.timeout(this.#hookDeadlineSeconds * 1000 + SCRIPT_END_MS)
      : undefined;
    let namespaces: OwnNamespaces | undefined;
    let attach = inNetwork;
    this.#namespaces.begin();
    try {
      const users = this.#prepare(spec);
      if (users.ok && inKeptNetwork && !isSystemContainer(spec)) namespaces = this.#kept.take(spec.id, users.firstId);
      this.#kept.drop(spec.id);
      if (namespaces) attach = inKeptNetwork;
      else if (users.ok && inNetwork) namespaces = this.#namespaces.take(users.firstId, RANGE_SIZE);
      const ready = users.ok ? this.#write(spec, users, namespaces) : users;
      if (!ready.ok) {
        await this.delete(spec.id);
        return ready;
      }
      const prepared = performance.now();
      const creation = createWithConmon({
        conmon: this.#conmon,
        binary: this.binary,
        paths: this.paths,
        id: spec.id,
        bundle: ready.bundle,
        logLimitBytes: this.#options.logLimitBytes ?? LOG_LIMIT_BYTES,
        signal: ofScript ? AbortSignal.any([deadline, ofScript]) : deadline,
      });
      const attached = namespaces && attach?.(pathOfDescriptor(namespaces.network));
      const [answer, noNetwork] = await bothSettled(creation, attached);
      created = performance.now();
      if (answer.ok) await takeMonitor(this.monitors, spec.id, answer.pid);
      if (answer.ok && isSystemContainer(spec) && ready.firstId !== undefined)
        giveInitItsCgroup(this.cgroupOf(spec.id), ready.firstId);
      if (answer.ok) limitShare(this.cgroupOf(spec.id), spec.limits, this.sharesOfProcessor);
      const refusal = answer.ok ? (noNetwork ?? (await onCreated?.(answer.pid))) : undefined;
      if (refusal !== undefined) {
        await this.delete(spec.id);
        return { ...startFailure(''), reason: 'refused', message: refusal };
      }
      const failure = answer.ok ? await startFirstProcess(this.binary, this.paths, spec.id, deadline) : answer.stderr;
      this.#users.removeViewsLater(spec.id);
      const pidStartTime = answer.ok ? firstProcess(this.paths.runtimeRoot, spec.id)?.startTime : undefined;
      if (!answer.ok || failure !== undefined || pidStartTime === undefined) {
        await this.delete(spec.id);
        // The runtimes' messages for it differ, and crun's depends on how the script was ended.
        if (!answer.ok && spec.mountScript.custom && performance.now() - prepared >= this.#hookDeadlineSeconds * 1000)
          return scriptTimeout(this.#hookDeadlineSeconds, failure);
        return startFailure(failure ?? 'the runtime left no state');
      }
      if (this.binary.name === 'crun') this.#filter.keep(this.paths.runtimeRoot, spec.id);
      const phases = { prepare: prepared - began, mount: created - prepared, runtime: performance.now() - created };
      return { ok: true, pid: answer.pid, pidStartTime, phases };
    } catch (error) {
      await this.delete(spec.id);
      if (ofScript?.aborted && !created) return scriptTimeout(this.#hookDeadlineSeconds);
      if (!deadline.aborted) throw error;
      return { ...startFailure(''), reason: 'deadline', message: `not started within ${deadlineMs} ms` };
    } finally {
      if (namespaces) closeNamespaces(namespaces);
      this.#namespaces.end();
    }
  }

  /**
   * Networks of containers to come are made before their starts.
   * @param prepare gets the path of each, in which no process is, and makes there what depends on no container; it does
   * not throw
   */
  prepareNetworksBy(prepare: (namespace: string) => void): void {
    this.#namespaces.prepareNetworksBy(prepare);
  }

  /**
   * Why containers can't have users of their own here; undefined: they can.
   * @param directory that their image, data or software is in; absent: what does not depend on any
   */
  ownUsersProblem(directory?: string): string | undefined {
    return this.#users.problem(directory);
  }

  cgroupOf(id: string): string {
    return containerGroup(id, this.instance);
  }

  /**
   * Removes what a process that was killed during starts has left mounted. Before the first start of this process.
   * @param beside other processes that it may have started, and which keep its mounts alive
   */
  removeStrayViews(beside: readonly number[] = []): Promise<void> {
    const monitors = knownIds(this.paths).flatMap((id) => conmonPid(this.paths, id) ?? []);
    return this.#users.removeStrayViews([...monitors, ...beside]);
  }

  /** Removes what this process has mounted for starts; containers go on. */
  close(): void {
    this.#namespaces.close();
    this.#kept.close();
    this.#users.close();
  }

  /** Removes what this instance has outside of its state directory, if no container is left; it can't be used then. */
  removeDirectories(): void {
    if (this.list().length > 0) return;
    removeRuntimeDirectories(this.paths);
    this.monitors.remove();
  }

  /** Every container of this instance that has left a trace, by id. */
  list(): readonly ObservedContainer[] {
    return knownIds(this.paths).flatMap((id) => observeContainer(this.paths, this.cgroupOf(id), id) ?? []);
  }

  /** Whether any container of this instance runs; reads no more of them than it must. */
  isAnyRunning(): boolean {
    return knownIds(this.paths).some((id) => this.observe(id)?.state === 'running');
  }

  /**
   * Ids that have a cgroup of this instance but belong to no bundle or state here: the rest of a lost state directory.
   */
  strayIds(): readonly string[] {
    const known = new Set(knownIds(this.paths));
    return cgroupContainerIds(this.instance).filter((id) => !known.has(id));
  }

  /** One container; undefined when nothing of it is there. */
  observe(id: string): ObservedContainer | undefined {
    return observeContainer(this.paths, this.cgroupOf(id), id);
  }

  /** Signals the first process; false when it is not there. */
  signal(id: string, signal: NodeJS.Signals): boolean {
    const first = firstProcess(this.paths.runtimeRoot, id);
    return first !== undefined && isRunning(first) && sendSignal(first.pid, signal);
  }

  /**
   * Before the end of a run that another follows at once: its network stays for that. Does nothing for a container
   * whose network is not its own to keep: another start gets a new one.
   */
  keepNetwork(id: string): void {
    const first = firstProcess(this.paths.runtimeRoot, id);
    if (first !== undefined) this.#kept.keep(id, first.pid, () => isRunning(first));
  }

  /** Whether a network is kept for its next start. */
  hasKeptNetwork(id: string): boolean {
    return this.#kept.has(id);
  }

  /** SIGKILLs every process of the container and waits until all are gone. Throws ContainerStuckError. */
  async kill(id: string): Promise<void> {
    if (!(await killCgroup(this.cgroupOf(id), KILL_DEADLINE_MS)))
      throw new ContainerStuckError(id, cgroupProcesses(this.cgroupOf(id)));
  }

  /**
   * Removes a container in any state: kills it, and takes away runtime state, cgroups, bundle, exit file, sockets, and
   * the log unless it is to be kept; so is its network, for a start that follows at once.
   * Idempotent; also for ids that never existed and for half-done starts. Throws ContainerStuckError.
   */
  async delete(
    id: string,
    options: { readonly keepLog?: boolean; readonly keepNetwork?: boolean } = {},
  ): Promise<void> {
    if (!/^[0-9a-f]{32}$/.test(id)) throw new RangeError(`${JSON.stringify(id)} is no container id`);
    if (this.exitStatus(id) === undefined && mayBeStarting(this.paths, id, this.cgroupOf(id)))
      await endStart(this.instance, id);
    await this.kill(id);
    await conmonEnded(this.paths, id);
    await this.#users.removeViews(id);
    // Not the runtime's own delete: with every process gone its mounts are gone too, and one program less is started
    // between a stop and a start.
    for (let rounds = 0; !(await removeCgroups(this.cgroupOf(id), CGROUP_ROUND_MS)); rounds += 1) {
      if (rounds === CGROUP_ROUNDS) throw new ContainerStuckError(id, cgroupProcesses(this.cgroupOf(id)));
      await this.kill(id);
    }
    this.#users.release(id);
    if (options.keepNetwork === true) this.#kept.expireLater(id);
    else this.#kept.drop(id);
    removeFiles(this.paths, id, options.keepLog === true);
    this.monitors.remove();
  }

  /** Runs a command in a running container. */
  async exec(id: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const state = this.observe(id)?.state;
    if (state !== 'running')
      return { ok: false, reason: 'not-running', message: `container ${id} is ${state ?? 'not there'}` };
    return execInContainer(this.binary, this.paths, id, argv, options);
  }

  /**
   * A command that is run in a container again and again, as cheaply as possible. It is valid for one run of the
   * container.
   */
  repeatedCommand(id: string, argv: readonly string[]): ContainerCheck {
    return new ContainerCheck(this.binary, this.paths, id, this.cgroupOf(id), argv);
  }

  /** Ends what another process that is gone was running in the container by `exec` and {@link repeatedCommand}. */
  endInterruptedCommands(id: string): Promise<void> {
    return endInterruptedCommands(this.paths, id, this.cgroupOf(id));
  }

  /** How the first process ended; undefined while it runs, and for ever when conmon was killed. */
  exitStatus(id: string): ExitStatus | undefined {
    return readExit(this.paths, id);
  }

  /**
   * Waits until the first process has ended. Resolves with undefined when it ended without a witness (conmon killed) or
   * was deleted; rejects with the signal's reason.
   */
  async waitExit(id: string, signal: AbortSignal): Promise<ExitStatus | undefined> {
    const read = (): { exit: ExitStatus | undefined } | undefined => {
      const exit = this.exitStatus(id);
      if (exit !== undefined) return { exit };
      const seen = this.observe(id);
      const mayStillCome = seen !== undefined && (seen.pid !== undefined || seen.monitored);
      return mayStillCome ? undefined : { exit: this.exitStatus(id) };
    };
    return (await this.#exits.until(id, read, signal)).exit;
  }

  /** Host path of the container's log: lines `time stream F|P text` (the CRI log format). */
  logPath(id: string): string {
    return logFile(this.paths, id);
  }

  #prepare(spec: ContainerSpec): PreparedUsers | StartFailure {
    const [unheld] = unheldLimits(spec.limits, this.missingLimits);
    if (unheld !== undefined && this.#options.limits !== 'preferred') return limitNotHeld(unheld);
    makeBundle(`${this.paths.bundles}/${spec.id}`);
    return this.#users.prepare(spec);
  }

  /** Writes the bundle and makes the views. */
  #write(spec: ContainerSpec, users: PreparedUsers, namespaces?: OwnNamespaces): PreparedUsers | StartFailure {
    const limits = heldLimits(spec.limits, this.missingLimits);
    const config = buildOciConfig(
      { ...users.spec, limits },
      {
        instance: this.instance,
        layerRoot: users.layerRoot,
        firstId: users.firstId,
        jail: users.jail,
        ...(namespaces && { namespaces: pathsOfNamespaces(namespaces) }),
        hookDeadlineSeconds: this.#hookDeadlineSeconds,
        sharesOfProcessor: this.sharesOfProcessor,
      },
    );
    const annotations = {
      ...this.#filter.annotations(),
      ...(isSystemContainer(spec) && initAnnotations(CGROUP_MOUNT)),
    };
    writeBundle(`${this.paths.bundles}/${spec.id}`, spec, {
      ...config,
      ...(Object.keys(annotations).length > 0 && { annotations }),
    });
    return this.#users.makeViews(spec, users, namespaces?.users) ?? users;
  }
}
