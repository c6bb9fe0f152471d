/** Signal names and the kernel's numbers for them (signal(7), x86 and arm). */
import { constants } from 'node:os';

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** `SIGTERM` → 15, `SIGRTMIN+3` → 37; undefined when there is no such signal. */
export function signalNumber(name: string): number | undefined {
  const plain = (constants.signals as Readonly<Record<string, number>>)[name];
  if (plain !== undefined) return plain;
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!realTime) return undefined;
  const offset = Number(realTime[3] ?? 0) * (realTime[2] === '-' ? -1 : 1);
  const number = (realTime[1] === 'MIN' ? SIGRTMIN : SIGRTMAX) + offset;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

/**
 * Whether a namespace's first process receives a signal: the kernel discards one that the process neither catches nor
 * blocks (pid_namespaces(7)). For a discarded signal there is no grace to wait for.
 * @param status text of /proc/<pid>/status
 */
export function firstProcessNotices(status: string, signal: number): boolean {
  const mask = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  return ((mask('SigCgt') | mask('SigBlk')) & (1n << BigInt(signal - 1))) !== 0n;
}
