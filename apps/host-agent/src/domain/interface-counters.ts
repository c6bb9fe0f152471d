/** Counters of an interface, from a text in the form of /proc/<pid>/net/dev (proc_net(5)). Pure. */

export interface InterfaceCounters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
}

/** Columns of received values, before those of sent ones. */
const RECEIVED_COLUMNS = 8;

/** undefined: there is no such interface */
export function interfaceCounters(text: string, name: string): InterfaceCounters | undefined {
  const line = text.split('\n').find((row) => row.trimStart().startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const values = line
    .slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  const at = (index: number): number => values[index] ?? 0;
  return {
    receivedBytes: at(0),
    receivedPackets: at(1),
    sentBytes: at(RECEIVED_COLUMNS),
    sentPackets: at(RECEIVED_COLUMNS + 1),
  };
}
