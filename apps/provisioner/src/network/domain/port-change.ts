/** Which ports a container is to have after some are added and others taken away. Pure. */
import { MAX_PUBLISHED_PORTS, type PortRequest } from '@plinth/contracts';
import { type GivenPort, portText, portWishes, type PortWish } from './host-ports.js';

export type PortChange =
  | { readonly ok: true; readonly isChanged: boolean; readonly wishes: readonly PortWish[] }
  | { readonly ok: false; readonly message: string };

/**
 * Ports that stay keep their host port, also one that was given out.
 * @param present the container's ports, in the order of its requests
 */
export function changePorts(
  present: readonly GivenPort[],
  publish: readonly PortRequest[],
  unpublish: readonly PortRequest[],
): PortChange {
  const away = portWishes(unpublish);
  const kept: PortWish[] = present.filter((port) => !away.some((wish) => fits(port, wish)));
  let isChanged = kept.length < present.length;
  for (const wish of portWishes(publish)) {
    const same = kept.findIndex((port) => fits(port, wish) && port.hostAddress === wish.hostAddress);
    const known = kept[same];
    if (known) {
      // From now on it is one that was asked for.
      if (wish.asked && !known.asked) {
        kept[same] = { ...known, asked: true };
        isChanged = true;
      }
      continue;
    }
    const own = kept.find((port) => port.protocol === wish.protocol && port.hostPort === wish.hostPort);
    if (own && wish.hostPort !== undefined)
      return {
        ok: false,
        message:
          `host port ${portText(wish.protocol, wish.hostPort)} leads to port ${own.containerPort} of this container ` +
          'already; unpublish that in the same request, or ask for another host port',
      };
    kept.push(wish);
    isChanged = true;
  }
  if (kept.length > MAX_PUBLISHED_PORTS)
    return { ok: false, message: `a container publishes at most ${MAX_PUBLISHED_PORTS} ports, not ${kept.length}` };
  return { ok: true, isChanged, wishes: kept };
}

/**
 * What is asked for stays, and the rest is given out again.
 * @param present the container's ports on its host
 * @returns avoid: {@link portText} of what was given out before; empty: everything was asked for
 */
export function givenAgain(present: readonly GivenPort[]): {
  readonly wishes: readonly PortWish[];
  readonly avoid: ReadonlySet<string>;
} {
  const given = present.filter(({ asked }) => !asked);
  return {
    wishes: present.map((port): PortWish => (port.asked ? port : { ...port, hostPort: undefined })),
    avoid: new Set(given.map(({ protocol, hostPort }) => portText(protocol, hostPort))),
  };
}

/**
 * Whether ports are given out again after a failed start. A host tries a newer config at once, and its pause grows with
 * each failure in a row: the first two draws follow at once, later ones about one for each pause, so a host on which no
 * port can be published keeps nobody busy.
 * @param sinceMs time since the present ports were given out
 * @param retryInMs the host's pause
 */
export function mayGiveAgain(sinceMs: number, retryInMs: number): boolean {
  return sinceMs >= retryInMs / 2 - 1_000;
}

/** Whether a request means this port: what it leaves out fits any. */
function fits(port: PortWish, wish: PortWish): boolean {
  return (
    port.protocol === wish.protocol &&
    port.containerPort === wish.containerPort &&
    (wish.hostPort === undefined || wish.hostPort === port.hostPort) &&
    (wish.hostAddress === undefined || wish.hostAddress === port.hostAddress)
  );
}
