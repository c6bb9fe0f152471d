/** Takes the next requests of a queue in turn over the tenants: of one with many waiting no more than of the others. */

/** @returns the oldest of each tenant in turn, `most` at the most; they are removed from the queue, whose order stays */
export function takeFairly<T>(queue: T[], most: number, tenantOf: (item: T) => string): T[] {
  if (queue.length <= most) return queue.splice(0);
  const byTenant = new Map<string, T[]>();
  for (const item of queue) {
    const tenant = tenantOf(item);
    const waiting = byTenant.get(tenant);
    if (waiting) waiting.push(item);
    else byTenant.set(tenant, [item]);
  }
  const taken = new Set<T>();
  for (let turn = 0; taken.size < most; turn++)
    for (const waiting of byTenant.values()) {
      const item = waiting[turn];
      if (item !== undefined && taken.size < most) taken.add(item);
    }
  queue.splice(0, queue.length, ...queue.filter((item) => !taken.has(item)));
  return [...taken];
}
