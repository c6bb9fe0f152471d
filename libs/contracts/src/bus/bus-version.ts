/**
 * Which nats-server keeps acknowledged messages in streams of several replicas. Jepsen saw crashes of processes lose them
 * up to 2.10.22 (jepsen.io, NATS 2.12.1; nats-server 2.10.23 has the fix); 2.9.10 lost some in 4 of 13 power cuts here.
 */
export const LEAST_REPLICATED = '2.10.23';

/** Pure. @param version e.g. `2.10.27` or `2.11.0-RC.1` */
export function runsReplicas(version: string): boolean {
  const [has, needs] = [version, LEAST_REPLICATED].map((text) => text.replace(/-.*$/, '').split('.').map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (has?.[index] ?? 0) - (needs?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
