/** Counts of what the page has. */
import type { ContainerState, ContainerStatus } from '@plinth/contracts';

export const CONTAINER_STATES_SHOWN = [
  'running',
  'starting',
  'scheduled',
  'requested',
  'stopping',
  'stopped',
  'failed',
  'lost',
] as const satisfies readonly ContainerState[];

export function statesOf(containers: readonly ContainerStatus[]): Record<ContainerState, number> {
  const counts = { ...Object.fromEntries(CONTAINER_STATES_SHOWN.map((state) => [state, 0])), removed: 0 } as Record<
    ContainerState,
    number
  >;
  for (const { state } of containers) counts[state]++;
  return counts;
}

export function reasonsOf(
  containers: readonly ContainerStatus[],
): readonly { readonly message: string; readonly containers: number }[] {
  const counts = new Map<string, number>();
  for (const { state, message } of containers)
    if ((state === 'failed' || state === 'lost') && message)
      counts.set(message.slice(0, 120), (counts.get(message.slice(0, 120)) ?? 0) + 1);
  return [...counts]
    .map(([message, number]) => ({ message, containers: number }))
    .sort((a, b) => b.containers - a.containers)
    .slice(0, 6);
}
