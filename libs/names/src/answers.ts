/** What a query is answered with. Pure. */
import type { Answer } from 'dns-packet';
import { containerName, reversedAddress } from './labels.js';
import { CLASS_INTERNET, type Query, RCODE, type Reply, TYPE } from './message.js';
import type { Named, Place, Viewer, Zones } from './zones.js';

/** Seconds: a container that has moved or ended is found again within them. */
export const TTL = 5;

export type Decision =
  | { readonly kind: 'reply'; readonly reply: Reply; readonly result: 'answered' | 'absent' | 'refused' }
  | { readonly kind: 'forward' };

export function decide(query: Query, viewer: Viewer, zones: Zones): Decision {
  if (query.edns !== undefined && query.edns.version > 0) return refuse(RCODE.badVersion);
  const address = query.name === undefined ? undefined : reversedAddress(query.name);
  const place: Place =
    query.name === undefined
      ? { kind: 'outside' }
      : address === undefined
        ? zones.find(query.name, viewer)
        : zones.findAddress(address, viewer);
  if (place.kind === 'outside') {
    if (viewer.kind === 'container' && !viewer.forwards) return refuse(RCODE.refused);
    return query.class === CLASS_INTERNET ? { kind: 'forward' } : refuse(RCODE.notImplemented);
  }
  if (query.class !== CLASS_INTERNET) return refuse(RCODE.refused);
  const isReverse = address !== undefined;
  const authorities = [startOfAuthority(isReverse ? query.asked : place.domain, place.domain)];
  if (place.kind === 'absent')
    return { kind: 'reply', result: 'absent', reply: { rcode: RCODE.noName, authoritative: true, authorities } };
  const answers =
    place.kind === 'container'
      ? place.containers.flatMap((container) => (isReverse ? pointers(container, query) : addresses(container, query)))
      : query.type === TYPE.SOA && query.name === place.domain
        ? authorities
        : [];
  return {
    kind: 'reply',
    result: 'answered',
    reply: { rcode: RCODE.noError, authoritative: true, answers, authorities: answers.length > 0 ? [] : authorities },
  };
}

/** An address that can't be reached would be tried first, until it is given up. */
function addresses({ ipv4, ipv6, hasIpv6 }: Named, { asked, type }: Query): Answer[] {
  const any = type === TYPE.ANY;
  return [
    ...(any || type === TYPE.A ? [{ type: 'A' as const, name: asked, ttl: TTL, data: ipv4 }] : []),
    ...(hasIpv6 && (any || type === TYPE.AAAA) ? [{ type: 'AAAA' as const, name: asked, ttl: TTL, data: ipv6 }] : []),
  ];
}

function pointers({ name, tenant, domain }: Named, { asked, type }: Query): Answer[] {
  if (type !== TYPE.PTR && type !== TYPE.ANY) return [];
  return [{ type: 'PTR', name: asked, ttl: TTL, data: containerName(name, tenant, domain) }];
}

/** With a negative answer: how long it may be remembered, RFC 2308. */
function startOfAuthority(zone: string, domain: string): Answer {
  const data = {
    mname: domain,
    rname: `hostmaster.${domain}`,
    serial: 1,
    refresh: TTL,
    retry: TTL,
    expire: TTL,
    minimum: TTL,
  };
  return { type: 'SOA', name: zone, ttl: TTL, data };
}

function refuse(rcode: number): Decision {
  return { kind: 'reply', result: 'refused', reply: { rcode } };
}
