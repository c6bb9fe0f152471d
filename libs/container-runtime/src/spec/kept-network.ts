/** Whether the network of a run that ends may be that of the next one. Pure; texts of proc(5). */

/** capabilities(7) */
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;
/** Of a process with the users of the host. */
const ALL_IDS = 4_294_967_295;

/** On the host, of the id 0 inside. @param map uid_map @returns undefined: its users are the host's */
export function ownFirstId(map: string): number | undefined {
  const [inside, outside, count] = map.trim().split(/\s+/).map(Number);
  return inside === 0 && outside === 0 && count === ALL_IDS ? undefined : outside;
}

/** Whether a process of it could have changed interfaces, rules or settings of its network. @param status of one */
export function mayChangeItsNetwork(status: string): boolean {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (bounding === undefined) return true;
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].some((capability) => (BigInt(`0x${bounding}`) >> capability) % 2n === 1n);
}

/**
 * No socket is left in it: none that is still closing, and none in TIME_WAIT, whose port a program could bind only
 * with SO_REUSEADDR. @param sockets sockstat and sockstat6, after the last process has ended
 */
export function isQuiet(sockets: string): boolean {
  const used = /^sockets: used (\d+)$/m.exec(sockets)?.[1];
  const waiting = /^TCP: .*\btw (\d+)\b/m.exec(sockets)?.[1];
  const inUse = [...sockets.matchAll(/ inuse (\d+)/g)].map(([, count]) => Number(count));
  return used === '0' && waiting === '0' && inUse.every((count) => count === 0);
}
