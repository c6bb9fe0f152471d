/** Which hosts give a container the users that it should have: its own, or the host's where it asks for them. */
import type { HostUsers } from '@plinth/contracts';
import type { CandidateHost } from './placement.js';

/** Null: an older agent, which may be able to. */
const ON_REQUEST: readonly (HostUsers | null)[] = [null, 'request', 'request-or-fallback', 'always'];
const WITHOUT_REQUEST: readonly (HostUsers | null)[] = ['fallback', 'request-or-fallback', 'always'];

/**
 * Hosts with the storage nodes on which the container would start. One that does not ask for the host's users gets them
 * only where no host gives it users of its own, and the host's policy does.
 */
export function offeringUsers(hosts: readonly CandidateHost[], asksForHostUsers: boolean): readonly CandidateHost[] {
  if (asksForHostUsers) return hosts.filter(({ hostUsers }) => ON_REQUEST.includes(hostUsers));
  // Most hosts give them everywhere, and are not copied: this is done for each request.
  const own = hosts.flatMap((host) => {
    const { ownUsers, storageNodes } = host;
    if (storageNodes.length === 0) return [];
    if (ownUsers === null || storageNodes.every((node) => ownUsers.includes(node))) return [host];
    const left = storageNodes.filter((node) => ownUsers.includes(node));
    return left.length > 0 ? [{ ...host, storageNodes: left }] : [];
  });
  return own.length > 0 ? own : hosts.filter(({ hostUsers }) => WITHOUT_REQUEST.includes(hostUsers));
}

export function usersNotOffered(hosts: number, asksForHostUsers: boolean): string {
  const who = hosts === 1 ? 'the one ready host' : `none of the ${hosts} ready hosts`;
  const [verb, they] =
    hosts === 1 ? [['does not allow', 'can not give'], 'it reaches'] : [['allows', 'can give'], 'they reach'];
  return asksForHostUsers
    ? `${who} ${verb[0]} containers with its users: set PLINTH_ALLOW_HOST_USERS=true on one; plinth hosts shows who allows it`
    : `${who} ${verb[1]} containers users of their own on the storage that ${they}; plinth doctor on a host says why`;
}
