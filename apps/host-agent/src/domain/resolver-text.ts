/** A resolv.conf(5) of what a network says about names. Pure. */

export interface ResolverSettings {
  readonly nameServers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export function resolverText({ nameServers, search, options }: ResolverSettings): string {
  if (nameServers.length === 0) return '# This container has no name server.\n';
  return [
    ...nameServers.map((address) => `nameserver ${address}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
}
