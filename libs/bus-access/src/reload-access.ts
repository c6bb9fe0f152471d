/**
 * Makes a running nats-server read its access rules again; clients that are connected and still allowed stay connected.
 */
import { readFileSync } from 'node:fs';
import { isAlive, type ProcessIdentity, signalProcess } from '@plinth/local-servers';

const PATIENCE_MS = 10_000;
const PAUSE_MS = 20;
const DONE = 'Reloaded server configuration';

/**
 * It reloads twice: after one reload nats-server 2.9 has a new account, but what that imports leads nowhere until the
 * next.
 * @throws Error when the server does not report the reload within seconds: its log has the reason
 */
export async function reloadAccess(server: ProcessIdentity, logFile: string): Promise<void> {
  for (let times = 0; times < 2; times++) {
    const before = reloads(logFile);
    signalProcess(server, 'SIGHUP');
    const deadline = performance.now() + PATIENCE_MS;
    while (reloads(logFile) === before) {
      if (!isAlive(server) || performance.now() > deadline)
        throw new Error(`nats-server did not take its new rules; see ${logFile}`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

function reloads(logFile: string): number {
  return readFileSync(logFile, 'utf8').split(DONE).length;
}
