/** Names, addresses and cables of a lab's machines: pure. */

export interface WantedMachine {
  /** Lower-case letters, digits and hyphens; also its host name. */
  readonly name: string;
  readonly datacenter: string;
}

export interface PlannedMachine extends WantedMachine {
  /** IPv4, on one link with all others. */
  readonly address: string;
  /** The lab's end of its cable. */
  readonly port: string;
}

/** Something of a lab that can't be, or is not there; the message names what to do. */
export class LabError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'LabError';
  }
}

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** It becomes part of mount options and of configurations. */
const PATH = /^\/[A-Za-z0-9/._-]+$/;
const MOST = 200;
/** RFC 2544: benchmarks of networks; containers' addresses are others. */
const NETWORK = '198.18';
export const PREFIX_LENGTH = 16;

/** @throws LabError */
export function planMachines(directory: string, wanted: readonly WantedMachine[]): readonly PlannedMachine[] {
  if (!PATH.test(directory))
    throw new LabError(`${directory} can't hold a lab: its path may have letters, digits and ./_- only`);
  if (wanted.length === 0 || wanted.length > MOST) throw new LabError(`a lab has 1 to ${MOST} machines`);
  const datacenters = [...new Set(wanted.map(({ datacenter }) => datacenter))];
  const names = [...wanted.map(({ name }) => name), ...datacenters];
  for (const name of names)
    if (!NAME.test(name)) throw new LabError(`${name} is no name: lower-case letters, digits and hyphens, at most 32`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new LabError(`${twice} names two things; machines and data centres need names of their own`);
  return wanted.map((machine, index) => ({
    ...machine,
    address: `${NETWORK}.${datacenters.indexOf(machine.datacenter) + 1}.${index + 1}`,
    port: `v${index + 1}`,
  }));
}

/** What `/etc/hosts` of each machine has. */
export function hostsFile(machines: readonly PlannedMachine[]): string {
  return [
    '127.0.0.1 localhost',
    '::1 localhost',
    ...machines.map(({ address, name }) => `${address} ${name}`),
    '',
  ].join('\n');
}
