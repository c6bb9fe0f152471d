/** Which machine of a lab does what of the product: pure. */
import { LabError, type WantedMachine } from '../plan.js';

export type Role = 'control' | 'bus' | 'storage' | 'host';

export interface PlacedMachine extends WantedMachine {
  readonly role: Role;
}

export interface LayoutOptions {
  readonly machines: number;
  readonly datacenters: number;
  /** 1: on the control machine; 3: a cluster, a machine each. */
  readonly busServers: 1 | 3;
}

/**
 * One control machine, bus servers of a cluster, a storage node in each data centre where two hosts are left for it, and
 * hosts; of each kind in turn over the data centres.
 * @throws LabError when there are too few machines
 */
export function layOut({ machines, datacenters, busServers }: LayoutOptions): readonly PlacedMachine[] {
  const buses = busServers === 1 ? 0 : busServers;
  const rest = machines - 1 - buses;
  if (rest < 1)
    throw new LabError(`the product needs ${2 + buses} machines or more: control, ${buses ? 'bus, ' : ''}host`);
  const storages = rest >= 2 * datacenters ? datacenters : Math.min(1, rest - 1);
  const hosts = rest - storages;
  if (datacenters > machines) throw new LabError(`${machines} machines can't be in ${datacenters} data centres`);
  const numbered = (role: Role, count: number): PlacedMachine[] =>
    Array.from({ length: count }, (_, index) => ({
      name: `${role}-${index + 1}`,
      role,
      datacenter: `dc-${(index % datacenters) + 1}`,
    }));
  return [
    { name: 'control', role: 'control', datacenter: 'dc-1' },
    ...numbered('bus', buses),
    ...numbered('storage', storages),
    ...numbered('host', hosts),
  ];
}
