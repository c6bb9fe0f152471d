/** Data volumes on the storage nodes: `volumes/<id>/volume.json` says whose it is, `volumes/<id>/data` is what is mounted at /data. */
import { lstat, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerConfig } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';
import { isMissing, syncDirectory, writeDurably } from './durable-file.js';
import type { Opened } from './image-master.js';

const MARKER = 'volume.json';
const DATA = 'data';
/** Developers' services live here. */
const SERVICE = 'service';

export class DataVolumes {
  constructor(private readonly storage: StorageMounts) {}

  /**
   * Makes the volume unless it is there; safe to repeat after a crash at any point.
   * @param madeBefore it was there once: then it is not made again, because its data must be somewhere
   * @returns the host path of its data
   */
  async open(config: ContainerConfig, madeBefore: boolean): Promise<Opened<string>> {
    const base = this.storage.get(config.storageNode);
    if (base === undefined) return missing(`storage node ${config.storageNode} is not mounted on this host`);
    const volume = join(base, 'volumes', config.dataVolume);
    const owner = await readOwner(join(volume, MARKER));
    if (owner !== undefined && owner !== config.containerId) return missing(`the volume ${config.dataVolume} belongs to another container`);
    if (owner === undefined) {
      if (madeBefore) return missing(`the volume ${config.dataVolume} was on ${config.storageNode} and is not any more`);
      const problem = await make(base, volume, config);
      if (problem !== undefined) return missing(problem);
    }
    const data = join(volume, DATA);
    const stat = await lstat(data).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    return stat?.isDirectory() ? { ok: true, value: data } : missing(`the volume ${config.dataVolume} has no data directory`);
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
      await syncDirectory(join(base, 'volumes'));
    }
    await rm(trash, { recursive: true, force: true });
    return owner === undefined ? 'not-there' : 'deleted';
  }
}

/** The marker is written last: a volume without one was never handed out. */
async function make(base: string, volume: string, config: ContainerConfig): Promise<string | undefined> {
  // An empty mount point is the host's own disk: nothing may be made there.
  if (!(await lstat(join(base, 'images')).then((stat) => stat.isDirectory(), () => false))) return `${config.storageNode} is not mounted`;
  await mkdir(join(base, 'volumes'), { recursive: true, mode: 0o755 });
  await mkdir(join(volume, DATA, SERVICE), { recursive: true, mode: 0o755 });
  await syncDirectory(join(volume, DATA));
  await syncDirectory(join(base, 'volumes'));
  const marker = { containerId: config.containerId, tenant: config.tenant, createdAt: new Date().toISOString() };
  await writeDurably(join(volume, MARKER), `${JSON.stringify(marker)}\n`);
  return undefined;
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
