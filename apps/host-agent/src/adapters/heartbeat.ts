/** Publishes this host's heartbeat every few seconds, with its capacity and the number of its containers. */
import { freemem, loadavg, totalmem } from 'node:os';
import {
  type HostCapacity,
  type HostHeartbeat,
  hostHeartbeat,
  type HostLimit,
  type HostUsers,
  type ImageTransfer,
  type IoControl,
  type Labels,
  type PolicyInEffect,
} from '@plinth/contracts';
import { encodeHeaders, encodeHeartbeat, newId } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';

/** As many as a heartbeat may list. */
const MOST_IMAGES = 1_000;

export interface HeartbeatFacts {
  readonly host: string;
  readonly datacenter: string;
  readonly labels: Labels;
  readonly storageNodes: readonly string[];
  readonly capacity: HostCapacity;
  readonly runtime: string;
  readonly periodMs: number;
  readonly runningContainers: () => number;
  /** Whether containers here can have an address of their own. */
  readonly network: boolean;
  /** Name of the network of CNI that they get; absent: that of this system. */
  readonly cniNetwork?: string | undefined;
  /** Storage nodes on which data volumes are held to their limits. */
  readonly diskLimits: () => readonly string[];
  /** What of a container's input and output the kernel can limit. */
  readonly ioLimits: readonly IoControl[];
  /** Limits that containers are not held to. */
  readonly missingLimits: readonly HostLimit[];
  /** Storage nodes on which containers have users of their own. */
  readonly ownUsers: () => readonly string[];
  readonly hostUsers: HostUsers;
  /** Where other hosts reach them; absent: they do not. */
  readonly address?: string | undefined;
  /** What its own store holds; absent: it has none. */
  readonly images?: (() => readonly string[]) | undefined;
  /** What is being fetched. */
  readonly transfers: () => readonly ImageTransfer[];
  /** Where others fetch the images of its own store; undefined: nowhere. */
  readonly servesAt: () => string | undefined;
  /** Policies of tenants that are in effect. */
  readonly tenantPolicies: () => PolicyInEffect[];
}

export interface Heartbeat {
  /** One more, besides those of the period. */
  beat(): void;
  close(): void;
}

export function startHeartbeat(connection: NatsConnection, facts: HeartbeatFacts): Heartbeat {
  const incarnation = newId();
  let connected = true;
  const follow = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') connected = false;
      else if (status.type === 'reconnect') connected = true;
    }
  };
  void follow();
  const beat = (): void => {
    // While NATS is away the client would buffer all heartbeats and publish them late.
    if (!connected || connection.isClosed() || connection.isDraining()) return;
    const tenantPolicies = facts.tenantPolicies();
    const id = newId();
    const servesAt = facts.servesAt();
    const transfers = facts.transfers();
    const data: HostHeartbeat = {
      host: facts.host,
      incarnation,
      at: new Date().toISOString(),
      datacenter: facts.datacenter,
      labels: facts.labels,
      storageNodes: [...facts.storageNodes],
      capacity: facts.capacity,
      load: {
        load1: loadavg()[0] ?? 0,
        memoryUsedBytes: totalmem() - freemem(),
        containers: facts.runningContainers(),
      },
      runtime: facts.runtime,
      ...(facts.network && { network: true }),
      ...(facts.cniNetwork !== undefined && { cniNetwork: facts.cniNetwork }),
      diskLimits: [...facts.diskLimits()],
      ioLimits: [...facts.ioLimits],
      missingLimits: [...facts.missingLimits],
      ownUsers: [...facts.ownUsers()],
      hostUsers: facts.hostUsers,
      ...(facts.address !== undefined && { address: facts.address }),
      ...(tenantPolicies.length > 0 && { tenantPolicies }),
      ...(transfers.length > 0 && { transfers: [...transfers] }),
      ...(servesAt !== undefined && { servesAt }),
      ...(facts.images && { images: facts.images().slice(0, MOST_IMAGES) }),
    };
    const subject = hostHeartbeat(facts.host);
    const envelope = { id, type: subject, source: `host-agent/${facts.host}`, time: data.at, correlationId: id };
    connection.publish(subject, encodeHeartbeat(subject, data), { headers: encodeHeaders(envelope) });
  };
  beat();
  const timer = setInterval(beat, facts.periodMs);
  return { beat, close: () => clearInterval(timer) };
}
