/** A container's network for people. */
import { DOMAIN_PATTERN } from '@plinth/names';
import type { ContainerConfig, EgressRule, PublishedPort } from '@plinth/contracts';

/** `8080->80/tcp`, `192.0.2.1:8080->80/tcp`: port of the host, port of the container. */
export function describePort({ protocol, hostPort, containerPort, hostAddress }: PublishedPort): string {
  const address = hostAddress === undefined ? '' : hostAddress.includes(':') ? `[${hostAddress}]:` : `${hostAddress}:`;
  return `${address}${hostPort}->${containerPort}/${protocol}`;
}

/** @returns null when there are none */
export function describePorts(ports: readonly PublishedPort[] | undefined): string | null {
  return ports === undefined || ports.length === 0 ? null : ports.map(describePort).join(', ');
}

export function describeEgress(egress: NonNullable<ContainerConfig['egress']>): string {
  return egress.policy === 'list' ? (egress.to ?? []).map(describeRule).join('; ') : egress.policy;
}

function describeRule({ network, protocol, ports }: EgressRule): string {
  const where = ports === undefined ? network : `${network} port ${ports.join(',')}`;
  return protocol === undefined ? where : `${where} ${protocol}`;
}

/** Names of containers end so; the agents' default where it is not set. */
export function domainOf({ PLINTH_DOMAIN: domain }: NodeJS.ProcessEnv): string {
  return domain !== undefined && DOMAIN_PATTERN.test(domain) ? domain : 'plinth.internal';
}
