/** Which first processes are an init that manages the whole system, such as systemd; as podman recognises them. */
const INITS: readonly string[] = ['/sbin/init', '/usr/sbin/init', '/lib/systemd/systemd', '/usr/lib/systemd/systemd'];

/** Halts systemd, systemd(1). */
export const INIT_STOP_SIGNAL = 'SIGRTMIN+3';

/** @param argv of the first process */
export function isSystemInit([program]: readonly string[]): boolean {
  return program !== undefined && INITS.includes(program);
}
