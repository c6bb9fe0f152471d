/** The present state in the page, from the console's stream; and whether it is the present one. */
import { signal } from '@preact/signals';
import type { ContainerStatus, HostStatus, ImageBuildStatus, RolloutStatus, StorageStatus } from '@plinth/contracts';
import { session, checkSession } from './session.js';

interface Values {
  containers: ContainerStatus;
  hosts: HostStatus;
  storage: StorageStatus;
  rollouts: RolloutStatus;
  builds: ImageBuildStatus;
}
type Topic = keyof Values;
type Maps = { [T in Topic]: Map<string, Values[T]> };
type Put = { [T in Topic]?: Values[T][] };

export interface Currency {
  readonly live: boolean;
  readonly at: string;
  readonly problem: string | null;
}

const AGAIN_MS = 1_000;
const HIDDEN_MS = 30_000;

const emptyMaps = (): Maps => ({
  containers: new Map(),
  hosts: new Map(),
  storage: new Map(),
  rollouts: new Map(),
  builds: new Map(),
});
const keyOf: { readonly [T in Topic]: (value: Values[T]) => string } = {
  containers: ({ id }) => id,
  hosts: ({ host }) => host,
  storage: ({ node }) => node,
  rollouts: ({ id }) => id,
  builds: ({ name }) => name,
};

let maps = emptyMaps();
/** What comes of a snapshot until it is whole. */
let coming: Maps | undefined;
let lastId = '';
let source: EventSource | undefined;
let hiding: number | undefined;
let order: readonly string[] | undefined;

/** Counts changes: who reads it is drawn again. */
export const version = signal(0);
/** Everything was received once. */
export const isLoaded = signal(false);
export const currency = signal<Currency>({ live: false, at: new Date().toISOString(), problem: 'not connected yet' });

export function values<T extends Topic>(topic: T): Values[T][] {
  void version.value;
  return [...maps[topic].values()];
}

export function container(id: string): ContainerStatus | undefined {
  void version.value;
  return maps.containers.get(id);
}

/** By tenant and name. */
export function containersInOrder(): ContainerStatus[] {
  void version.value;
  order ??= [...maps.containers.values()]
    .map(({ id, tenant, name }) => ({ id, key: `${tenant} ${name} ${id}` }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ id }) => id);
  return order.map((id) => maps.containers.get(id) as ContainerStatus);
}

export function startStream(): void {
  if (source || document.hidden) return;
  source = new EventSource(`/api/v1/stream${lastId ? `?from=${encodeURIComponent(lastId)}` : ''}`);
  const on = (name: string, take: (data: never) => void): void =>
    source?.addEventListener(name, (event) => {
      if (event.lastEventId) lastId = event.lastEventId;
      take(JSON.parse(String(event.data)) as never);
    });
  on('currency', (data: Currency) => (currency.value = data));
  on('snapshot', () => (coming = emptyMaps()));
  on('rows', ({ put }: { put: Put }) => coming && store(coming, put));
  on('ready', () => {
    maps = coming ?? maps;
    coming = undefined;
    order = undefined;
    isLoaded.value = true;
    version.value = version.peek() + 1;
  });
  on('changes', ({ at, put, gone }: { at: string; put: Put; gone: Partial<Record<Topic, string[]>> }) => {
    store(maps, put);
    for (const [topic, keys] of Object.entries(gone) as [Topic, string[]][]) {
      for (const key of keys) maps[topic].delete(key);
      if (topic === 'containers') order = undefined;
    }
    if (currency.value.live) currency.value = { ...currency.value, at };
    isLoaded.value = true;
    version.value = version.peek() + 1;
  });
  source.onopen = () => {
    // A stream that goes on needs no snapshot.
    coming = undefined;
  };
  source.onerror = () => {
    lose('the console does not answer');
    stopStream();
    window.setTimeout(() => void again(), AGAIN_MS);
  };
}

export function stopStream(): void {
  source?.close();
  source = undefined;
  coming = undefined;
}

/** Forgets everything: somebody else may sign in. */
export function forget(): void {
  stopStream();
  maps = emptyMaps();
  order = undefined;
  lastId = '';
  isLoaded.value = false;
  version.value = version.peek() + 1;
}

/** A hidden page takes no connection for long: a browser has six of them for a host. */
export function followVisibility(): void {
  document.addEventListener('visibilitychange', () => {
    window.clearTimeout(hiding);
    if (document.hidden) hiding = window.setTimeout(() => stopStream(), HIDDEN_MS);
    else if (session.value) startStream();
  });
}

async function again(): Promise<void> {
  const state = await checkSession();
  if (state === 'signed-in') startStream();
  else if (state === 'unknown') window.setTimeout(() => void again(), AGAIN_MS);
}

function lose(problem: string): void {
  const { live, at } = currency.value;
  currency.value = { live: false, at: live ? new Date().toISOString() : at, problem };
}

function store(to: Maps, put: Put): void {
  const each = <T extends Topic>(topic: T, items: Values[T][] | undefined): void => {
    for (const item of items ?? []) {
      const key = keyOf[topic](item);
      if (topic === 'containers' && !to.containers.has(key)) order = undefined;
      to[topic].set(key, item);
    }
  };
  each('containers', put.containers);
  each('hosts', put.hosts);
  each('storage', put.storage);
  each('rollouts', put.rollouts);
  each('builds', put.builds);
}
