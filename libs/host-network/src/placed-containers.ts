/** Containers as the network of a host gets them, and what it answers. */
import type { ContainerNetwork } from './container-network.js';
import { networkOfProcess } from './network-namespace.js';

/** A container that runs. */
export interface RunningNetwork extends ContainerNetwork {
  /** Of a process in its network. */
  readonly pid: number;
}

/** A container that is about to run. */
export interface StartingNetwork extends ContainerNetwork {
  /** Path of its network namespace. */
  readonly namespace: string;
}

export type Attached =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'network-failed' | 'port-taken'; readonly message: string };

/** What was not as it should be, and is now. */
export interface Repairs {
  /** Sentences for the log; empty: all was as it should be. */
  readonly done: readonly string[];
  /** What could not be repaired. */
  readonly failed: readonly string[];
}

export function inNamespace({ pid, ...container }: RunningNetwork): StartingNetwork {
  return { ...container, namespace: networkOfProcess(pid) };
}
