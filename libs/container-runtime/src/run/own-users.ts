/**
 * What a container with users of its own has on the host: a range of ids, and views of its directories. One with a
 * custom mount script has views in any case: they are all that the script sees.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { hasCode, SystemCallError } from '@plinth/host-os';
import { containerGroup } from '../kernel/container-group.js';
import { cgroupProcesses } from '../kernel/cgroups.js';
import { IdmappedViews, type View, type ViewFile } from '../kernel/idmapped-views.js';
import { compileSeccomp, SeccompError } from '../kernel/seccomp-compiler.js';
import { readText } from '../kernel/partial-file.js';
import { closeUserNamespace, openUserNamespace } from '../kernel/user-namespace.js';
import { type ContainerSpec, DEFAULT_PATH } from '../spec/container-spec.js';
import { mayGainPrivileges, RANGE_SIZE } from '../spec/oci-config.js';
import { JAIL, JAIL_LINKS, scriptFilter, type ScriptJail } from '../spec/script-jail.js';
import { startFailure, type StartFailure, type StartFailureReason } from '../spec/start-failure.js';
import { readIdRange } from './bundle.js';
import { IdRanges } from './id-ranges.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { ownUsersProblem, RUNC_PROBLEM, RUNC_SCRIPT_PROBLEM } from './own-users-check.js';
import { instanceName, type RuntimePaths } from './runtime-paths.js';

/** A start as the runtime is asked for it: the host's directories, or the container's views of them. */
export interface PreparedUsers {
  readonly ok: true;
  readonly spec: ContainerSpec;
  readonly layerRoot: string;
  /** Where the runtime finds the config: one with the rights of the container's root starts a mount script there. */
  readonly bundle: string;
  readonly firstId?: number;
  /** For a custom mount script. */
  readonly jail?: ScriptJail;
}

const LAYER = JAIL.layer;
const ETC = `${LAYER}/etc`;
const BUNDLE = 'bundle';

export class OwnUsers {
  private readonly ranges = new IdRanges({ isAlive: hasProcesses });
  private readonly views: IdmappedViews;
  private readonly scriptFilters = new Map<ContainerSpec['users'], Buffer>();

  constructor(
    private readonly paths: RuntimePaths,
    private readonly binary: RuntimeBinary,
  ) {
    this.views = new IdmappedViews(paths.views);
  }

  /** As {@link ownUsersProblem} of this runtime. */
  problem(directory?: string): string | undefined {
    return ownUsersProblem(this.binary, this.views, directory);
  }

  /** Claims the container's range; its bundle's directory is there, and empty. */
  prepare(spec: ContainerSpec): PreparedUsers | StartFailure {
    const bundle = `${this.paths.bundles}/${spec.id}`;
    const jail = isJailed(spec) ? this.jailOf(spec) : undefined;
    if (jail !== undefined && 'ok' in jail) return jail;
    if (spec.users === 'host')
      return jail === undefined
        ? { ok: true, spec, bundle, layerRoot: bundle }
        : { ok: true, bundle, jail, layerRoot: this.views.pathOf(spec.id, LAYER), spec: this.withViews(spec) };
    if (spec.writableRoot === true) return failure('user-namespace-failed', 'a build has the users of the host');
    if (this.binary.name === 'runc') return failure('user-namespace-failed', RUNC_PROBLEM);
    const firstId = this.ranges.claim(spec.id, bundle);
    if (firstId === undefined) {
      const { taken, of } = this.ranges.usage();
      return failure(
        'no-id-range',
        `${taken} of ${of} ranges of user ids are taken by containers of this machine; stop or remove some here, or drain the host`,
      );
    }
    const at = (name: string): string => this.views.pathOf(spec.id, name);
    return {
      ok: true,
      firstId,
      jail,
      bundle: jail === undefined ? bundle : at(BUNDLE),
      layerRoot: at(LAYER),
      spec: this.withViews(spec),
    };
  }

  /** The root of a custom mount script is the directory of the container's views. */
  private jailOf({ id, users }: ContainerSpec): ScriptJail | StartFailure {
    if (this.binary.name === 'runc') return failure('mount-script-failed', RUNC_SCRIPT_PROBLEM);
    try {
      const filter = this.scriptFilters.get(users) ?? compileSeccomp(scriptFilter(users));
      this.scriptFilters.set(users, filter);
      return { directory: dirname(this.views.pathOf(id, JAIL.root)), filter };
    } catch (error) {
      if (error instanceof SeccompError) return failure('mount-script-failed', error.message);
      throw error;
    }
  }

  /** With views in the places of the host's directories. */
  private withViews(spec: ContainerSpec): ContainerSpec {
    const at = (name: string): string => this.views.pathOf(spec.id, name);
    return {
      ...spec,
      imageRoot: at(JAIL.root),
      ...(spec.dataPath !== undefined && { dataPath: at(JAIL.data) }),
      ...(spec.softwarePath !== undefined && { softwarePath: at(JAIL.software) }),
    };
  }

  /**
   * Makes the views that the mounts of a prepared start are made of; its bundle is written.
   * @param users descriptor of its user namespace, where that was made before
   */
  makeViews(spec: ContainerSpec, { firstId }: PreparedUsers, users?: number): StartFailure | undefined {
    const jailed = isJailed(spec);
    if (firstId === undefined && !jailed) return undefined;
    const layer = `${this.paths.bundles}/${spec.id}/etc`;
    const views: View[] = [
      {
        name: JAIL.root,
        source: spec.imageRoot,
        readOnly: true,
        inert: false,
        setUserIds: mayGainPrivileges(spec),
      },
      { name: ETC, source: layer, readOnly: true, inert: true },
    ];
    if (spec.dataPath !== undefined)
      views.push({ name: JAIL.data, source: spec.dataPath, readOnly: false, inert: true });
    if (spec.softwarePath !== undefined)
      views.push({ name: JAIL.software, source: spec.softwarePath, readOnly: true, inert: true, recursive: true });
    try {
      const files = jailed ? this.filesOfJail(spec) : [];
      if (files === undefined)
        return failure('mount-script-mismatch', `${spec.mountScript.path} is not the script of the image's manifest`);
      if (firstId === undefined)
        // The host's root could write beside the views. Otherwise conmon does, into the bundle.
        this.views.make(spec.id, 'host', views, files, true);
      else {
        const namespace = users ?? openUserNamespace(firstId, RANGE_SIZE);
        try {
          this.views.make(spec.id, { namespace, firstId }, views, files);
        } finally {
          if (users === undefined) closeUserNamespace(namespace);
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof SystemCallError) return failure('user-namespace-failed', error.message);
      throw error;
    }
  }

  /** What was verified is what runs: the script is read once, and from then on it is in memory of this process's. */
  private filesOfJail({ id, mountScript: { path, digest } }: ContainerSpec): readonly ViewFile[] | undefined {
    const content = readFileSync(path);
    if (digest !== undefined && digest !== `sha256:${createHash('sha256').update(content).digest('hex')}`)
      return undefined;
    return [
      { name: JAIL.script, content },
      { name: `${BUNDLE}/config.json`, target: `${this.paths.bundles}/${id}/config.json` },
      ...JAIL_LINKS,
    ];
  }

  /** Once the container's mounts are made, or will not be. Nothing when there are none. */
  async removeViews(id: string): Promise<void> {
    await this.views.removed(id);
    this.views.remove(id);
  }

  /** As {@link removeViews}, soon: the kernel waits while it removes a mount. */
  removeViewsLater(id: string): void {
    this.views.removeLater(id);
  }

  /**
   * Removes the views that a process which was killed has left: they are in its mount namespace, which the monitors of
   * its containers keep. No start of this instance is under way.
   */
  async removeStrayViews(monitors: readonly number[]): Promise<void> {
    const own = namespaceOf('self');
    const seen = new Set([own]);
    for (const pid of monitors) {
      const namespace = namespaceOf(pid);
      if (namespace === undefined || seen.has(namespace)) continue;
      seen.add(namespace);
      const stray = mountPoints(pid).filter((path) => path.startsWith(`${this.paths.views}/`));
      // The deepest come last. A mount namespace is that of a thread, so another program goes there.
      const argv = [`--mount=/proc/${pid}/ns/mnt`, 'umount', '--lazy', '--no-canonicalize', ...stray.reverse()];
      if (stray.length === 0) continue;
      try {
        await promisify(execFile)('nsenter', argv, { env: { PATH: DEFAULT_PATH } });
      } catch (error) {
        // That monitor has ended meanwhile; another one may be in the same namespace.
        if (namespaceOf(pid) === namespace) throw error;
        seen.delete(namespace);
      }
    }
  }

  /** Removes what this process has mounted; containers go on. */
  close(): void {
    this.views.close();
  }

  /** Gives the range back; no process of the container is left, and its bundle is still there. */
  release(id: string): void {
    const bundle = `${this.paths.bundles}/${id}`;
    const range = readIdRange(bundle);
    if (range !== 'host') this.ranges.release(bundle, range === 'unknown' ? undefined : range);
  }
}

/** Whether a script of the image's own makes the mounts: it sees nothing but views. */
function isJailed({ mountScript, writableRoot }: ContainerSpec): boolean {
  return mountScript.custom && writableRoot !== true;
}

/** @param bundle of any instance on this machine */
function hasProcesses(bundle: string): boolean {
  const stateDirectory = dirname(dirname(bundle));
  return cgroupProcesses(containerGroup(basename(bundle), instanceName(stateDirectory))).length > 0;
}

function namespaceOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}

/** In the mount namespace of a process, in the order of their making; views have no characters that need an escape. */
function mountPoints(pid: number): readonly string[] {
  return (readText(`/proc/${pid}/mountinfo`) ?? '').split('\n').flatMap((line) => line.split(' ')[4] ?? []);
}

function failure(reason: StartFailureReason, message: string): StartFailure {
  return { ...startFailure(''), reason, message };
}
