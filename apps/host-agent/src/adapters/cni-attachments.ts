/**
 * Containers that plugins of CNI have connected. Each has a file, `cni/<container id>.json`, from before its first
 * plugin is run until after its last one has undone its work: whatever dies between, it is known what to undo, and how.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Attachment,
  type CniConfiguration,
  CniError,
  CniNetwork,
  type CniOptions,
  isObject,
  type JsonObject,
  type Made,
  parseConfiguration,
  readResult,
} from '@plinth/cni';
import { inHostMountNamespace } from '@plinth/container-runtime';
import { ID_PATTERN } from '@plinth/contracts';
import { hasCode, isMissing, writeDurably, writeWhole } from '@plinth/host-os';
import { NamespaceFileError, PinnedNamespaces } from './pinned-namespaces.js';

const INTERFACE = 'eth0';
const SUFFIX = '.json';

export interface AttachmentOptions {
  readonly directory: string;
  /** Distinguishes the agents of one machine. */
  readonly instance: string;
  /** A namespace ends with the machine. */
  readonly bootId: string;
  /** Of one plugin. */
  readonly timeoutMs: number;
}

/** What is in a file. */
interface Stored {
  readonly bootId: string;
  /** As it was when the container was connected: it is undone by the same. */
  readonly configuration: JsonObject;
  readonly path: readonly string[];
  readonly runtimeConfig: JsonObject;
  /** The last result; absent: no plugin has ended. */
  readonly made?: JsonObject;
}

/** A container that is connected, or may be. */
export interface KnownAttachment {
  readonly addresses: readonly string[];
  /** What its plugins were given; undefined: not known. */
  readonly runtimeConfig: JsonObject | undefined;
  /** Inode of its network namespace; undefined: not known. */
  readonly namespace: number | undefined;
}

export class CniAttachments {
  private readonly known = new Map<string, KnownAttachment>();
  private readonly pins: PinnedNamespaces;
  /** The end of what is being done to a container: plugins for one container never run side by side. */
  private readonly busy = new Map<string, Promise<unknown>>();

  constructor(private readonly options: AttachmentOptions) {
    this.pins = new PinnedNamespaces(options.instance);
    for (const name of readdirSync(options.directory)) {
      const id = name.slice(0, -SUFFIX.length);
      if (name.endsWith(SUFFIX) && ID_PATTERN.test(id)) this.known.set(id, this.knownOf(this.read(id)));
    }
  }

  /** Containers that have a file. */
  get ids(): readonly string[] {
    return [...this.known.keys()];
  }

  get(containerId: string): KnownAttachment | undefined {
    return this.known.get(containerId);
  }

  /** Whether something is being done to it just now. */
  isBusy(containerId: string): boolean {
    return this.busy.has(containerId);
  }

  /** When the agent starts. @param pid of a process in its network */
  see(containerId: string, pid: number): void {
    const found = this.known.get(containerId);
    if (found) this.known.set(containerId, { ...found, namespace: namespaceOf(pid) });
  }

  /**
   * What it returns is on disk. When it fails nothing is left, or else the next {@link detach} removes it.
   * @param pid of a process in the container's network
   * @throws CniError, NamespaceFileError
   */
  attach(
    containerId: string,
    pid: number,
    network: CniNetwork,
    path: readonly string[],
    runtimeConfig: JsonObject,
  ): Promise<Made> {
    return this.alone(containerId, async () => {
      // What a run before this one has left.
      await this.remove(containerId);
      let stored: Stored = {
        bootId: this.options.bootId,
        configuration: storedConfiguration(network.configuration),
        path,
        runtimeConfig,
      };
      await this.write(containerId, stored);
      try {
        await this.pins.pin(containerId, pid);
        const made = await network.add(this.attachment(containerId, stored, true), ({ raw }) => {
          stored = { ...stored, made: raw };
          return writeWhole(this.fileOf(containerId), JSON.stringify(stored));
        });
        await this.write(containerId, stored);
        this.known.set(containerId, {
          addresses: made.result.addresses,
          runtimeConfig,
          namespace: namespaceOf(pid),
        });
        return made;
      } catch (error) {
        // What is left is known, and is removed by the next attempt.
        await this.remove(containerId).catch((second: unknown) => {
          if (!isNetworkFailure(second)) throw second;
        });
        throw error;
      }
    });
  }

  /** Nothing when it is not connected. @throws CniError, NamespaceFileError; it stays known then */
  detach(containerId: string): Promise<void> {
    return this.alone(containerId, () => this.remove(containerId));
  }

  /** @returns what a plugin finds wrong; undefined: nothing */
  check(containerId: string): Promise<string | undefined> {
    return this.alone(containerId, async () => {
      const stored = this.read(containerId);
      if (stored?.made === undefined) return undefined;
      const network = this.networkOf(containerId, stored);
      return network.check(this.attachment(containerId, stored, true), stored.made);
    });
  }

  private async remove(containerId: string): Promise<void> {
    if (!this.known.has(containerId)) return;
    const stored = this.read(containerId);
    if (stored) {
      const isThere = stored.bootId === this.options.bootId && (await this.pins.isPinned(containerId));
      const network = this.networkOf(containerId, stored);
      await network.delete(this.attachment(containerId, stored, isThere), stored.made);
    }
    await this.pins.release(containerId);
    await rm(this.fileOf(containerId), { force: true });
    this.known.delete(containerId);
  }

  /** Survives a power cut: leases of addresses do, too. */
  private async write(containerId: string, stored: Stored): Promise<void> {
    this.known.set(containerId, this.knownOf(stored));
    await writeDurably(this.fileOf(containerId), JSON.stringify(stored));
  }

  private networkOf(containerId: string, { configuration, path }: Stored): CniNetwork {
    const parsed = parseConfiguration(JSON.stringify(configuration));
    if (typeof parsed === 'string') throw new Error(`${this.fileOf(containerId)}: configuration ${parsed}`);
    return new CniNetwork(parsed, cniOptions(path, this.options.timeoutMs));
  }

  private attachment(containerId: string, { runtimeConfig }: Stored, isThere: boolean): Attachment {
    const namespace = isThere ? { namespace: this.pins.pathOf(containerId) } : {};
    return { containerId, ...namespace, interface: INTERFACE, runtimeConfig };
  }

  /** undefined: it was never whole, so no plugin was run. */
  private read(containerId: string): Stored | undefined {
    try {
      const found: unknown = JSON.parse(readFileSync(this.fileOf(containerId), 'utf8'));
      return isStored(found) ? found : undefined;
    } catch (error) {
      if (isMissing(error) || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  private knownOf(stored: Stored | undefined): KnownAttachment {
    const result = stored?.made && readResult(stored.made);
    return {
      addresses: typeof result === 'object' ? result.addresses : [],
      runtimeConfig: stored?.runtimeConfig,
      namespace: undefined,
    };
  }

  private fileOf(containerId: string): string {
    return join(this.options.directory, `${containerId}${SUFFIX}`);
  }

  private alone<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = this.busy.get(containerId) ?? Promise.resolve();
    const result = before.then(work, work);
    const end = result
      .catch(() => undefined)
      .finally(() => {
        if (this.busy.get(containerId) === end) this.busy.delete(containerId);
      });
    this.busy.set(containerId, end);
    return result;
  }

  /** Resolves when nothing is being done any more. */
  async idle(): Promise<void> {
    while (this.busy.size > 0) await Promise.all(this.busy.values());
  }
}

/** A plugin, or what surrounds it, has failed: it is reported, and tried again. */
export function isNetworkFailure(error: unknown): error is Error {
  return error instanceof CniError || error instanceof NamespaceFileError;
}

/** Plugins run where the host's mounts are, and what they mount outlives the agent. */
export function cniOptions(path: readonly string[], timeoutMs: number): CniOptions {
  return { path, timeoutMs, within: inHostMountNamespace() };
}

/** With the one version that its plugins were asked in. */
function storedConfiguration({ name, cniVersion, disableCheck, plugins }: CniConfiguration): JsonObject {
  return { cniVersion, name, disableCheck, plugins: plugins.map(({ config }) => config) };
}

function namespaceOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/net`).ino;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}

function isStored(value: unknown): value is Stored {
  return (
    isObject(value) &&
    typeof value['bootId'] === 'string' &&
    isObject(value['configuration']) &&
    Array.isArray(value['path']) &&
    value['path'].every((item) => typeof item === 'string') &&
    isObject(value['runtimeConfig']) &&
    (value['made'] === undefined || isObject(value['made']))
  );
}
