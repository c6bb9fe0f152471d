/**
 * Data volumes on the storage nodes: `volumes/<id>/volume.json` names the owner, `volumes/<id>/data` is mounted at
 * /data.
 */
import { execFile } from 'node:child_process';
import { chmod, lchown, lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { checkedUser, type ProcessUser } from '@plinth/container-runtime';
import type { ContainerConfig } from '@plinth/contracts';
import { decideClaim, type VolumeHolder } from '../domain/lease.js';
import type { StorageMounts } from '../domain/storage-mounts.js';
import { isMissing, removeTree, syncPath, writeDurably, writeWhole } from '@plinth/host-os';
import type { Opened } from './image-master.js';
import { readRenewal } from './lease-files.js';
import { type DiskUse, makeLimited, type VolumeLimits } from './volume-limits.js';

const MARKER = 'volume.json';
const CLAIM = 'claim.json';
const DATA = 'data';
/** A whole copy of the data, as it was before an update. */
const SNAPSHOT = 'snapshot';
const TORN_SNAPSHOT = '.snapshot-torn';
const REPLACED = '.data-replaced';
const run = promisify(execFile);
/** Directory of the developers' services. */
const SERVICE = 'service';

export interface OpenVolume {
  /** Host path of the directory that is mounted at /data. */
  readonly data: string;
  /** Resolves when the volume survives a power cut; no start is reported before that. */
  readonly durable: Promise<void>;
}

export class DataVolumes {
  constructor(
    private readonly storage: StorageMounts,
    private readonly limits: VolumeLimits,
  ) {}

  /**
   * Makes the volume unless it exists; may be repeated after a crash at any point.
   * @param madeBefore the volume has existed: then it is not made again, because its data must be somewhere
   * @param user the container's, asked when the volume is made, which belongs to it from then on; absent: root
   */
  async open(
    config: ContainerConfig,
    madeBefore: boolean,
    user: () => Promise<Opened<ProcessUser | undefined>>,
  ): Promise<Opened<OpenVolume>> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined) return missing(`storage node ${config.storageNode} is not mounted on this host`);
    const volume = join(base, 'volumes', config.dataVolume);
    const marker = await readMarker(join(volume, MARKER));
    const owner = marker?.containerId;
    if (owner !== undefined && owner !== config.containerId)
      return missing(`the volume ${config.dataVolume} belongs to another container`);
    const data = join(volume, DATA);
    if (owner === undefined) {
      if (madeBefore)
        return missing(`the volume ${config.dataVolume} was on ${config.storageNode} and is no longer there`);
      // An empty mount point is the host's own disk: nothing may be made there.
      if (!(await isDirectory(join(base, 'images')))) return missing(`${config.storageNode} is not mounted`);
      const owner = await user();
      if (!owner.ok) return owner;
      if (config.limits.diskBytes !== undefined) {
        const refusal = this.prepareLimit(config, volume);
        if (refusal !== undefined) return unlimited(refusal);
      }
      await make(volume, config, owner.value);
      const held = this.hold(config, data);
      if (held !== undefined) return unlimited(held);
      const durable = sync(volume);
      // The caller that awaits it gets the error; without one it must not be unhandled.
      durable.catch(() => undefined);
      return { ok: true, value: { data, durable } };
    }
    if (!(await isDirectory(data))) return missing(`the volume ${config.dataVolume} has no data directory`);
    await closeToOthers(volume);
    const refusal = await this.claim(base, volume, marker, config);
    if (refusal !== undefined) return { ok: false, failure: { reason: 'volume-held', message: refusal } };
    const held = this.hold(config, data);
    if (held !== undefined) return unlimited(held);
    return { ok: true, value: { data, durable: Promise.resolve() } };
  }

  /** Sets the limit of a volume that is in use. @returns why that can't be done */
  holdAgain(config: ContainerConfig): string | undefined {
    const base = this.storage.get(config.storageNode);
    if (base === undefined || config.limits.diskBytes === undefined) return undefined;
    return this.hold(config, join(base, 'volumes', config.dataVolume, DATA));
  }

  /** What the container's data take, where they are held to a limit. */
  use({ limits, storageNode, dataVolume }: ContainerConfig): DiskUse | undefined {
    const base = this.storage.get(storageNode);
    if (base === undefined || limits.diskBytes === undefined) return undefined;
    return this.limits.use(storageNode, join(base, 'volumes', dataVolume, DATA), limits.diskBytes);
  }

  /** @returns why the volume can't be made with a limit */
  private prepareLimit({ storageNode }: ContainerConfig, volume: string): string | undefined {
    try {
      makeLimited(this.limits, storageNode, volume, DATA);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** @returns why the data can't be held to their limit */
  private hold({ limits, storageNode }: ContainerConfig, data: string): string | undefined {
    return limits.diskBytes === undefined ? undefined : this.limits.hold(storageNode, data, limits.diskBytes);
  }

  /** Makes this host the volume's holder. @returns the reason when it can't */
  private async claim(
    base: string,
    volume: string,
    marker: Marker | undefined,
    config: ContainerConfig,
  ): Promise<string | undefined> {
    const pending = (await readMarker(join(volume, CLAIM)))?.holder;
    const decision = decideClaim(marker?.holder, pending, {
      host: config.host,
      generation: config.generation,
      takeovers: config.takeovers ?? [],
    });
    const holder: VolumeHolder = { host: config.host, generation: config.generation };
    switch (decision.kind) {
      case 'refuse':
        return decision.message;
      case 'hold':
        return undefined;
      case 'take-over':
        // The lost host renews its lease, then reads the claim; this host writes the claim, then reads the renewal: one
        // of the two detects the other.
        await writeDurably(join(volume, CLAIM), JSON.stringify({ holder }));
        if ((await readRenewal(base, decision.from)) !== decision.renewal)
          return `${decision.from} has renewed its lease; it has to release the volume first`;
    }
    await writeDurably(join(volume, MARKER), `${JSON.stringify({ ...marker, holder })}\n`);
    await rm(join(volume, CLAIM), { force: true });
    return undefined;
  }

  /** Allows another host to take the volume; may be repeated. */
  async release(config: ContainerConfig): Promise<'released' | 'not-mounted'> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined || !(await isDirectory(join(base, 'images')))) return 'not-mounted';
    const path = join(base, 'volumes', config.dataVolume, MARKER);
    const marker = await readMarker(path);
    if (marker?.containerId !== config.containerId || (marker.holder?.host ?? config.host) !== config.host)
      return 'released';
    await writeDurably(
      path,
      `${JSON.stringify({ ...marker, holder: { host: null, generation: config.generation } })}\n`,
    );
    return 'released';
  }

  /**
   * Makes a copy of the data that is complete and survives a power cut, or none; uses reflinks where the file system
   * has them. The container does not run.
   */
  async snapshot(config: ContainerConfig): Promise<Opened<undefined>> {
    const volume = this.path(config);
    if (volume === undefined) return missing(`storage node ${config.storageNode} is not mounted on this host`);
    const torn = join(volume, TORN_SNAPSHOT);
    if (await isDirectory(join(volume, SNAPSHOT))) return { ok: true, value: undefined };
    await removeTree(torn);
    if (config.limits.diskBytes !== undefined) {
      try {
        this.limits.makeDirectory(config.storageNode, torn);
      } catch (error) {
        const message = `the data could not be copied: ${error instanceof Error ? error.message : String(error)}`;
        return { ok: false, failure: { reason: 'snapshot-failed', message } };
      }
    }
    try {
      await run('cp', [
        '--archive',
        '--reflink=auto',
        '--one-file-system',
        '--no-target-directory',
        '--',
        join(volume, DATA),
        torn,
      ]);
      await run('sync', ['--file-system', torn]);
    } catch (error) {
      await removeTree(torn);
      const { stderr } = error as { stderr?: unknown };
      const why = typeof stderr === 'string' && stderr !== '' ? stderr.trim().slice(-500) : String(error);
      return { ok: false, failure: { reason: 'snapshot-failed', message: `the data could not be copied: ${why}` } };
    }
    await rename(torn, join(volume, SNAPSHOT));
    await syncPath(volume);
    return { ok: true, value: undefined };
  }

  /** Replaces the data by the copy; may be repeated after a crash at any point. Without a copy it was done before. */
  async restore(config: ContainerConfig): Promise<void> {
    const volume = this.path(config);
    if (volume === undefined) throw new Error(`storage node ${config.storageNode} is not mounted on this host`);
    const replaced = join(volume, REPLACED);
    if (await isDirectory(join(volume, SNAPSHOT))) {
      if (await isDirectory(join(volume, DATA))) {
        await removeTree(replaced);
        await rename(join(volume, DATA), replaced);
      }
      await rename(join(volume, SNAPSHOT), join(volume, DATA));
      await syncPath(volume);
    }
    await removeTree(replaced);
  }

  /** Removes the copy, also an incomplete one. */
  async discard(config: ContainerConfig): Promise<void> {
    const volume = this.path(config);
    if (volume === undefined) return;
    for (const name of [SNAPSHOT, TORN_SNAPSHOT, REPLACED]) await removeTree(join(volume, name));
  }

  private path(config: ContainerConfig): string | undefined {
    const base = this.storage.get(config.storageNode);
    return base === undefined ? undefined : join(base, 'volumes', config.dataVolume);
  }

  /**
   * Deletes the volume when it is this container's, by one rename that includes the marker, so that a crash leaves
   * nothing unowned.
   */
  async delete(config: ContainerConfig): Promise<'deleted' | 'not-there' | 'not-ours' | 'not-mounted' | 'held'> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined) return 'not-mounted';
    const volume = join(base, 'volumes', config.dataVolume);
    const trash = join(base, 'volumes', `.deleted-${config.dataVolume}`);
    const marker = await readMarker(join(volume, MARKER));
    const owner = marker?.containerId;
    if (owner !== undefined && owner !== config.containerId) return 'not-ours';
    // Another host may run a container on it.
    if (owner !== undefined && (await this.claim(base, volume, marker, config)) !== undefined) return 'held';
    // One without a marker is the rest of a making that was cut off.
    if (owner !== undefined || (await isDirectory(volume))) {
      await removeTree(trash);
      await rename(volume, trash);
      await syncPath(join(base, 'volumes'));
    }
    await removeTree(trash);
    this.limits.forget(join(volume, DATA));
    return owner === undefined ? 'not-there' : 'deleted';
  }
}

/**
 * The marker is written last: a volume without one was never used. On the disk ids are those of the container, whether
 * its users are its own or the host's.
 */
async function make(volume: string, config: ContainerConfig, user: ProcessUser | undefined): Promise<void> {
  const service = join(volume, DATA, SERVICE);
  await mkdir(service, { recursive: true, mode: 0o755 });
  const { uid, gid } = checkedUser(user ?? { uid: 0, gid: 0 });
  if (uid !== 0 || gid !== 0) for (const path of [service, dirname(service)]) await lchown(path, uid, gid);
  await closeToOthers(volume);
  const holder: VolumeHolder = { host: config.host, generation: config.generation };
  const marker = {
    containerId: config.containerId,
    tenant: config.tenant,
    createdAt: new Date().toISOString(),
    holder,
  };
  await writeWhole(join(volume, MARKER), `${JSON.stringify(marker)}\n`);
}

/**
 * A container's root may leave set-user-id programs on its volume, which belong to root on the disk: no user of a host
 * may walk to them.
 */
async function closeToOthers(volume: string): Promise<void> {
  if (((await lstat(volume)).mode & 0o077) !== 0) await chmod(volume, 0o700);
}

async function sync(volume: string): Promise<void> {
  for (const path of [join(volume, MARKER), join(volume, DATA), volume, dirname(volume)]) await syncPath(path);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

interface Marker {
  /** Empty: the marker can't be read, and the owner is unknown. */
  readonly containerId: string;
  /** Absent: the marker was written before volumes had holders. */
  readonly holder?: VolumeHolder;
  readonly [other: string]: unknown;
}

async function readMarker(path: string): Promise<Marker | undefined> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as {
      containerId?: unknown;
      holder?: { host?: unknown; generation?: unknown };
    };
    const { host, generation } = found.holder ?? {};
    const named = typeof host === 'string' || host === null;
    const holder = named && typeof generation === 'number' ? { host, generation } : undefined;
    return { ...found, containerId: typeof found.containerId === 'string' ? found.containerId : '', holder };
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (error instanceof SyntaxError) return { containerId: '' };
    throw error;
  }
}

function unlimited(message: string): {
  readonly ok: false;
  readonly failure: { readonly reason: 'disk-limit-failed'; readonly message: string };
} {
  return { ok: false, failure: { reason: 'disk-limit-failed', message } };
}

function missing(message: string): {
  readonly ok: false;
  readonly failure: { readonly reason: 'data-volume-missing'; readonly message: string };
} {
  return { ok: false, failure: { reason: 'data-volume-missing', message } };
}
