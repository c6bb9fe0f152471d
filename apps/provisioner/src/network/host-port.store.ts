/**
 * Ports of hosts. They are given out under the lock of the host's row, which reserving room takes: what is read as free
 * stays free until the transaction ends.
 */
import type { PortProtocol, PublishedPort } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { Resources } from '../placement/domain/placement.js';
import { reserve } from '../placement/placement.store.js';
import {
  candidatePorts,
  choosePorts,
  type GivenPort,
  type PortHolder,
  type PortRange,
  portText,
  type PortWish,
  type TakenPort,
} from './domain/host-ports.js';

export type PlaceReservation =
  | { readonly ok: true; readonly ports: readonly PublishedPort[] }
  /** `port-taken`: since the hosts were chosen. */
  | { readonly ok: false; readonly reason: 'no-room' | 'image-withdrawn' | 'port-taken' | 'ports-exhausted' };

/** More candidates than ports that are needed: a busy range is read whole only when all of them are taken. */
const SPARE_CANDIDATES = 16;

/** Ports among those asked for that another container has, on whichever host. */
export async function portsTakenByOthers(
  manager: EntityManager,
  wishes: readonly PortWish[],
  containerId = '',
): Promise<readonly TakenPort[]> {
  const asked = wishes.filter((wish) => wish.asked);
  if (asked.length === 0) return [];
  const rows: TakenPort[] = await manager.query(
    `SELECT p.host, p.protocol, p.port, p.tenant, p.name
       FROM unnest($1::int[], $2::text[]) AS asked(port, protocol)
       JOIN host_ports p ON p.port = asked.port AND p.protocol = asked.protocol
      WHERE p.container_id <> $3 ORDER BY p.host, p.port`,
    [asked.map(({ hostPort }) => hostPort), asked.map(({ protocol }) => protocol), containerId],
  );
  return rows;
}

/** Reserves room on the host, and ports if there are any: both or none. */
export async function reservePlace(
  manager: EntityManager,
  host: string,
  image: { readonly name: string; readonly version: string },
  resources: Resources,
  cpuOvercommit: number,
  wishes: readonly PortWish[],
  holder: PortHolder,
  range: PortRange,
): Promise<PlaceReservation> {
  const begun = wishes.length > 0;
  // Going back to it gives up the lock of the host's row too: nobody waits for two hosts at once.
  if (begun) await manager.query('SAVEPOINT place');
  const room = await reserve(manager, host, image, resources, cpuOvercommit);
  const place: PlaceReservation =
    room !== 'reserved'
      ? { ok: false, reason: room }
      : begun
        ? await takePorts(manager, host, wishes, holder, range)
        : { ok: true, ports: [] };
  if (begun && !place.ok) await manager.query('ROLLBACK TO SAVEPOINT place');
  return place;
}

/** A port of a host that a container may get. */
export interface PortOfHost {
  readonly host: string;
  readonly port: number;
}

/** {@link portText} of those that are taken, by host; to be read under the locks of the hosts' rows. */
export async function takenAmong(
  manager: EntityManager,
  ports: readonly PortOfHost[],
): Promise<ReadonlyMap<string, Set<string>>> {
  const taken = new Map<string, Set<string>>();
  if (ports.length === 0) return taken;
  const rows: { host: string; protocol: PortProtocol; port: number }[] = await manager.query(
    `SELECT DISTINCT p.host, p.protocol, p.port FROM unnest($1::text[], $2::int[]) AS w(host, port)
       JOIN host_ports p ON p.host = w.host AND p.protocol IN ('tcp', 'udp') AND p.port = w.port`,
    [ports.map(({ host }) => host), ports.map(({ port }) => port)],
  );
  for (const { host, protocol, port } of rows)
    taken.set(host, (taken.get(host) ?? new Set<string>()).add(portText(protocol, port)));
  return taken;
}

/** Ports of one container on one host. */
export interface HeldPorts {
  readonly host: string;
  readonly holder: PortHolder;
  readonly ports: readonly GivenPort[];
}

/** Writes ports of new containers, under the locks of the hosts' rows. */
export async function insertAllPorts(manager: EntityManager, held: readonly HeldPorts[]): Promise<void> {
  const rows = held.flatMap(({ host, holder, ports }) =>
    ports.map((port, index) => ({
      host,
      protocol: port.protocol,
      port: port.hostPort,
      container_id: holder.containerId,
      tenant: holder.tenant,
      name: holder.name,
      ordinal: index + 1,
      container_port: port.containerPort,
      host_address: port.hostAddress ?? null,
      asked: port.asked,
    })),
  );
  if (rows.length === 0) return;
  await manager.query('INSERT INTO host_ports SELECT * FROM json_populate_recordset(NULL::host_ports, $1::json)', [
    JSON.stringify(rows),
  ]);
}

/**
 * Locks the host's row, as placements do, and gives the container these ports instead of those that it has there.
 * @param avoid {@link portText} of what is not given out
 */
export async function replacePorts(
  manager: EntityManager,
  host: string,
  wishes: readonly PortWish[],
  holder: PortHolder,
  range: PortRange,
  avoid: ReadonlySet<string> = new Set(),
): Promise<PlaceReservation> {
  await manager.query('SELECT 1 FROM hosts WHERE host = $1 FOR UPDATE', [host]);
  return takePorts(manager, host, wishes, holder, range, avoid);
}

async function takePorts(
  manager: EntityManager,
  host: string,
  wishes: readonly PortWish[],
  holder: PortHolder,
  range: PortRange,
  avoid: ReadonlySet<string> = new Set(),
): Promise<PlaceReservation> {
  const start = Math.random();
  const few = candidatePorts(range, wishes.length + SPARE_CANDIDATES, start);
  const wished = wishes.flatMap(({ hostPort }) => hostPort ?? []);
  const taken = async (ports: readonly number[]): Promise<ReadonlySet<string>> =>
    new Set([...avoid, ...(await takenOn(manager, host, [...ports, ...wished], holder.containerId))]);
  let choice = choosePorts(wishes, await taken(few), few);
  if (!choice.ok && choice.reason === 'short') {
    const all = candidatePorts(range, Number.POSITIVE_INFINITY, start);
    choice = choosePorts(wishes, await taken(all), all);
  }
  if (!choice.ok) return { ok: false, reason: choice.reason === 'taken' ? 'port-taken' : 'ports-exhausted' };
  await insertPorts(manager, host, choice.ports, holder);
  return { ok: true, ports: choice.ports.map(publishedPort) };
}

async function takenOn(
  manager: EntityManager,
  host: string,
  ports: readonly number[],
  containerId: string,
): Promise<ReadonlySet<string>> {
  const rows: { protocol: PortProtocol; port: number }[] = await manager.query(
    `SELECT protocol, port FROM host_ports
      WHERE host = $1 AND protocol IN ('tcp', 'udp') AND port = ANY($2::int[]) AND container_id <> $3`,
    [host, ports, containerId],
  );
  return new Set(rows.map(({ protocol, port }) => portText(protocol, port)));
}

async function insertPorts(
  manager: EntityManager,
  host: string,
  ports: readonly GivenPort[],
  { containerId, tenant, name }: PortHolder,
): Promise<void> {
  // It may have been on its way to this host before.
  await manager.query('DELETE FROM host_ports WHERE container_id = $1 AND host = $2', [containerId, host]);
  await manager.query(
    `INSERT INTO host_ports (host, protocol, port, container_id, tenant, name, ordinal, container_port, host_address, asked)
     SELECT $1, protocol, port, $2, $3, $4, ordinal, container_port, host_address, asked
       FROM unnest($5::text[], $6::int[], $7::int[], $8::text[], $9::boolean[])
         WITH ORDINALITY AS p(protocol, port, container_port, host_address, asked, ordinal)`,
    [
      host,
      containerId,
      tenant,
      name,
      ports.map(({ protocol }) => protocol),
      ports.map(({ hostPort }) => hostPort),
      ports.map(({ containerPort }) => containerPort),
      ports.map(({ hostAddress }) => hostAddress ?? null),
      ports.map(({ asked }) => asked),
    ],
  );
}

interface PortRow {
  protocol: PortProtocol;
  port: number;
  container_port: number;
  host_address: string | null;
  asked: boolean;
}

/** The container's ports on a host, in the order of its request. */
export async function portsOn(manager: EntityManager, containerId: string, host: string): Promise<GivenPort[]> {
  const rows: PortRow[] = await manager.query(
    `SELECT protocol, port, container_port, host_address, asked FROM host_ports
      WHERE container_id = $1 AND host = $2 ORDER BY ordinal`,
    [containerId, host],
  );
  return rows.map((row) => ({
    protocol: row.protocol,
    hostPort: row.port,
    containerPort: row.container_port,
    ...(row.host_address !== null && { hostAddress: row.host_address }),
    asked: row.asked,
  }));
}

/** Releases what the container has on every other host. @returns its ports on this one */
export async function keepPortsOn(manager: EntityManager, containerId: string, host: string): Promise<PublishedPort[]> {
  await manager.query('DELETE FROM host_ports WHERE container_id = $1 AND host <> $2', [containerId, host]);
  return (await portsOn(manager, containerId, host)).map(publishedPort);
}

export function publishedPort({ protocol, hostPort, containerPort, hostAddress }: PublishedPort): PublishedPort {
  return { protocol, hostPort, containerPort, ...(hostAddress !== undefined && { hostAddress }) };
}
