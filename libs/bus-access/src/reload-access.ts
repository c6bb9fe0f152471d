/** Makes a running nats-server read its access rules again; who is connected and still allowed stays so. */
import { readFileSync } from 'node:fs';
import { isAlive, type ProcessIdentity, signalProcess } from '@plinth/local-servers';

const PATIENCE_MS = 10_000;
const PAUSE_MS = 20;
const DONE = 'Reloaded server configuration';

/**
 * Twice: after one reload nats-server 2.9 knows a new account, but what that imports leads nowhere until the next.
 * @throws Error when the server does not say within seconds that it did: its log tells why
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
