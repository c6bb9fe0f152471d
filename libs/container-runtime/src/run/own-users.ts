/** What a container with users of its own has on the host: a range of ids, and views of its directories. */
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { SystemCallError } from '@plinth/host-os';
import { cgroupProcesses } from '../kernel/cgroups.js';
import { IdmappedViews, type View } from '../kernel/idmapped-views.js';
import { closeUserNamespace, openUserNamespace } from '../kernel/user-namespace.js';
import type { ContainerSpec } from '../spec/container-spec.js';
import { cgroupPath, RANGE_SIZE } from '../spec/oci-config.js';
import { startFailure, type StartFailure, type StartFailureReason } from '../spec/start-failure.js';
import { readIdRange } from './bundle.js';
import { IdRanges } from './id-ranges.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { instanceName, type RuntimePaths } from './runtime-paths.js';

/** A start as the runtime is asked for it: the host's directories, or the container's views of them. */
export interface PreparedUsers {
  readonly ok: true;
  readonly spec: ContainerSpec;
  readonly layerRoot: string;
  readonly firstId?: number;
}

const RUNC = 'runc 1.1 can run no command in a container with users of its own; install crun';
const LAYER = 'layer';
const ETC = `${LAYER}/etc`;
const SCRIPT = 'mount.sh';

export class OwnUsers {
  private readonly ranges = new IdRanges({ isAlive: hasProcesses });
  private readonly views: IdmappedViews;

  constructor(
    private readonly paths: RuntimePaths,
    private readonly binary: RuntimeBinary,
  ) {
    this.views = new IdmappedViews(paths.views);
  }

  /** Claims the container's range; its bundle's directory is there, and empty. */
  prepare(spec: ContainerSpec): PreparedUsers | StartFailure {
    const bundle = `${this.paths.bundles}/${spec.id}`;
    if (spec.users === 'host') return { ok: true, spec, layerRoot: bundle };
    if (spec.writableRoot === true) return failure('user-namespace-failed', 'a build has the users of the host');
    if (this.binary.name === 'runc') return failure('user-namespace-failed', RUNC);
    const firstId = this.ranges.claim(spec.id, bundle);
    if (firstId === undefined) {
      const { taken, of } = this.ranges.usage();
      return failure('no-id-range', `${taken} of ${of} ranges of user ids are taken by containers of this machine`);
    }
    const at = (name: string): string => this.views.pathOf(spec.id, name);
    return {
      ok: true,
      firstId,
      layerRoot: at(LAYER),
      spec: {
        ...spec,
        imageRoot: at('root'),
        ...(spec.mountScript.custom && { mountScript: { path: at(SCRIPT), custom: true } }),
        ...(spec.dataPath !== undefined && { dataPath: at('data') }),
        ...(spec.softwarePath !== undefined && { softwarePath: at('sw') }),
      },
    };
  }

  /** Makes the views that the mounts of a prepared start are made of; its bundle is written. */
  makeViews(spec: ContainerSpec, { firstId }: PreparedUsers): StartFailure | undefined {
    if (firstId === undefined) return undefined;
    const layer = `${this.paths.bundles}/${spec.id}/etc`;
    const views: View[] = [
      { name: 'root', source: spec.imageRoot, readOnly: true, inert: false },
      { name: ETC, source: layer, readOnly: true, inert: true },
    ];
    if (spec.dataPath !== undefined) views.push({ name: 'data', source: spec.dataPath, readOnly: false, inert: true });
    if (spec.softwarePath !== undefined)
      views.push({ name: 'sw', source: spec.softwarePath, readOnly: true, inert: true, recursive: true });
    try {
      // What was verified is what runs: the script is read once.
      const files = spec.mountScript.custom ? [{ name: SCRIPT, content: readFileSync(spec.mountScript.path) }] : [];
      const namespace = openUserNamespace(firstId, RANGE_SIZE);
      try {
        this.views.make(spec.id, namespace, views, files);
      } finally {
        closeUserNamespace(namespace);
      }
      return undefined;
    } catch (error) {
      if (error instanceof SystemCallError) return failure('user-namespace-failed', error.message);
      throw error;
    }
  }

  /** Once the container's mounts are made, or will not be. Nothing when there are none. */
  removeViews(id: string): void {
    this.views.remove(id);
  }

  /** Gives the range back; no process of the container is left, and its bundle is still there. */
  release(id: string): void {
    const bundle = `${this.paths.bundles}/${id}`;
    const range = readIdRange(bundle);
    if (range !== 'host') this.ranges.release(bundle, range === 'unknown' ? undefined : range);
  }
}

/** @param bundle of any instance on this machine */
function hasProcesses(bundle: string): boolean {
  const stateDirectory = dirname(dirname(bundle));
  return cgroupProcesses(cgroupPath(basename(bundle), instanceName(stateDirectory))).length > 0;
}

function failure(reason: StartFailureReason, message: string): StartFailure {
  return { ...startFailure(''), reason, message };
}
