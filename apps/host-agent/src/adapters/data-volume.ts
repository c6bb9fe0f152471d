/** Data volumes on the storage nodes: `volumes/<id>/volume.json` says whose it is, `volumes/<id>/data` is what is mounted at /data. */
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ContainerConfig } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';
import { isMissing, syncPath, writeWhole } from './durable-file.js';
import type { Opened } from './image-master.js';

const MARKER = 'volume.json';
const DATA = 'data';
/** Developers' services live here. */
const SERVICE = 'service';

export interface OpenVolume {
  /** Host path of what is mounted at /data. */
  readonly data: string;
  /** Resolves when a power cut can no longer take the volume away; nobody is told of a start before that. */
  readonly durable: Promise<void>;
}

export class DataVolumes {
  constructor(private readonly storage: StorageMounts) {}

  /**
   * Makes the volume unless it is there; safe to repeat after a crash at any point.
   * @param madeBefore it was there once: then it is not made again, because its data must be somewhere
   */
  async open(config: ContainerConfig, madeBefore: boolean): Promise<Opened<OpenVolume>> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined) return missing(`storage node ${config.storageNode} is not mounted on this host`);
    const volume = join(base, 'volumes', config.dataVolume);
    const owner = await readOwner(join(volume, MARKER));
    if (owner !== undefined && owner !== config.containerId) return missing(`the volume ${config.dataVolume} belongs to another container`);
    const data = join(volume, DATA);
    if (owner === undefined) {
      if (madeBefore) return missing(`the volume ${config.dataVolume} was on ${config.storageNode} and is not any more`);
      // An empty mount point is the host's own disk: nothing may be made there.
      if (!(await isDirectory(join(base, 'images')))) return missing(`${config.storageNode} is not mounted`);
      await make(volume, config);
      const durable = sync(volume);
      // Whoever waits for it sees the error; nobody may.
      durable.catch(() => undefined);
      return { ok: true, value: { data, durable } };
    }
    if (!(await isDirectory(data))) return missing(`the volume ${config.dataVolume} has no data directory`);
    return { ok: true, value: { data, durable: Promise.resolve() } };
  }

  /** Deletes it when it is this container's; the marker goes last, by one rename, so that a crash leaves nothing unowned. */
  async delete(config: ContainerConfig): Promise<'deleted' | 'not-there' | 'not-ours' | 'not-mounted'> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined) return 'not-mounted';
    const volume = join(base, 'volumes', config.dataVolume);
    const trash = join(base, 'volumes', `.deleted-${config.dataVolume}`);
    const owner = await readOwner(join(volume, MARKER));
    if (owner !== undefined && owner !== config.containerId) return 'not-ours';
    if (owner !== undefined) {
      await rm(trash, { recursive: true, force: true });
      await rename(volume, trash);
      await syncPath(join(base, 'volumes'));
    }
    await rm(trash, { recursive: true, force: true });
    return owner === undefined ? 'not-there' : 'deleted';
  }
}

/** The marker is written last: a volume without one was never handed out. */
async function make(volume: string, config: ContainerConfig): Promise<void> {
  await mkdir(join(volume, DATA, SERVICE), { recursive: true, mode: 0o755 });
  const marker = { containerId: config.containerId, tenant: config.tenant, createdAt: new Date().toISOString() };
  await writeWhole(join(volume, MARKER), `${JSON.stringify(marker)}\n`);
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

async function readOwner(path: string): Promise<string | undefined> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as { containerId?: unknown };
    return typeof found.containerId === 'string' ? found.containerId : '';
  } catch (error) {
    if (isMissing(error)) return undefined;
    // A marker that can't be read belongs to nobody we know.
    if (error instanceof SyntaxError) return '';
    throw error;
  }
}

function missing(message: string): { readonly ok: false; readonly failure: { readonly reason: 'data-volume-missing'; readonly message: string } } {
  return { ok: false, failure: { reason: 'data-volume-missing', message } };
}
