/** Whose ids a container's users have on this host: its own, in a user namespace, or the host's. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerSpec, OciRuntime } from '@plinth/container-runtime';
import type { ContainerConfig, HostUsers } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';
import type { Opened } from './image-master.js';

export const USER_POLICIES = ['required', 'preferred', 'off'] as const;
export type UserPolicy = (typeof USER_POLICIES)[number];
type Users = ContainerSpec['users'];

/** Directories of a storage node that containers have views of, besides those of images. */
const SHOWN = ['volumes', 'software'] as const;

export class ContainerUsers {
  /** Per storage node; absent: not tried yet. */
  private readonly tried = new Map<string, string | undefined>();
  private readonly general: string | undefined;

  constructor(
    private readonly runtime: OciRuntime,
    private readonly storage: StorageMounts,
    private readonly policy: UserPolicy,
    private readonly allowHostUsers: boolean,
    /** Of this host's own store; undefined: the storage nodes have the images. */
    private readonly ownImages: string | undefined,
  ) {
    const isOff = policy === 'off';
    this.general = isOff
      ? undefined
      : (runtime.ownUsersProblem() ?? (ownImages === undefined ? undefined : runtime.ownUsersProblem(ownImages)));
  }

  /** Why containers can't have users of their own, for each storage node that is mounted; empty: they can. */
  problems(): readonly string[] {
    if (this.policy === 'off') return [];
    if (this.general !== undefined) return [this.general];
    return [...this.storage.keys()].flatMap((node) => this.problemOn(node) ?? []);
  }

  /** Storage nodes on which containers have users of their own; what is not mounted is not known, and left in. */
  ownUsersOn(): readonly string[] {
    if (this.policy === 'off' || this.general !== undefined) return [];
    return [...this.storage.keys()].filter((node) => this.problemOn(node) === undefined);
  }

  get hostUsers(): HostUsers {
    if (this.policy === 'off') return 'always';
    if (this.policy === 'preferred') return this.allowHostUsers ? 'request-or-fallback' : 'fallback';
    return this.allowHostUsers ? 'request' : 'never';
  }

  usersOf({ hostUsers, storageNode }: ContainerConfig): Opened<Users> {
    if (this.policy === 'off') return { ok: true, value: 'host' };
    if (hostUsers === true)
      return this.allowHostUsers
        ? { ok: true, value: 'host' }
        : refuse('host-users-not-allowed', "this host does not allow containers with the host's users");
    const problem = this.general ?? this.problemOn(storageNode);
    if (problem === undefined) return { ok: true, value: 'own' };
    if (this.policy === 'preferred') return { ok: true, value: 'host' };
    return refuse('user-namespace-failed', `users of its own are required on this host: ${problem}`);
  }

  private problemOn(node: string): string | undefined {
    if (this.tried.has(node)) return this.tried.get(node);
    const base = this.storage.get(node);
    // Not mounted yet: the start fails for that reason.
    const names = this.ownImages === undefined ? ['images', ...SHOWN] : SHOWN;
    if (base === undefined || !existsSync(join(base, names[0] ?? ''))) return undefined;
    const shown = names.map((name) => join(base, name)).filter((path) => existsSync(path));
    const problem = shown.map((path) => this.runtime.ownUsersProblem(path)).find((found) => found !== undefined);
    this.tried.set(node, problem);
    return problem;
  }
}

function refuse(reason: 'host-users-not-allowed' | 'user-namespace-failed', message: string): Opened<never> {
  return { ok: false, failure: { reason, message } };
}
