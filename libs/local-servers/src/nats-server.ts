/** A nats-server with JetStream on loopback. Runs with 2.9 and later. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, relative } from 'node:path';
import type { ProcessIdentity } from './process-identity.js';
import { spawnServer, waitUntilReady } from './spawn-server.js';

export interface NatsServerOptions {
  readonly directory: string;
  readonly port: number;
  readonly life: 'background' | 'bound';
  /**
   * Configuration to include: accounts, users and rules, or TLS. Absent: every client that reaches the port may do
   * everything.
   */
  readonly includes?: readonly string[];
  /** Path of the program; PLINTH_NATS_BIN or the one on the PATH when absent. */
  readonly binary?: string;
  /** Called with the process before it is ready: a caller that is killed while it waits has left no unknown process. */
  readonly onSpawned?: (identity: ProcessIdentity, logFile: string) => void;
}

/** Starts on the store of `directory` and waits until it answers. */
export async function startNatsServer(
  options: NatsServerOptions,
): Promise<{ identity: ProcessIdentity; url: string; logFile: string }> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const config = join(options.directory, 'nats.conf');
  const logFile = join(options.directory, 'nats.log');
  writeFileSync(
    config,
    [
      `listen: "127.0.0.1:${options.port}"`,
      'server_name: plinth',
      'max_payload: 1MB',
      `jetstream { store_dir: ${JSON.stringify(join(options.directory, 'jetstream'))}, max_memory_store: 256MB, max_file_store: 20GB }`,
      // The server takes even an absolute path as relative to its configuration.
      ...(options.includes ?? []).map((file) => `include ${JSON.stringify(relative(options.directory, file))}`),
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const binary = options.binary ?? process.env.PLINTH_NATS_BIN ?? 'nats-server';
  const identity = await spawnServer({ argv: [binary, '-c', config], logFile, life: options.life });
  options.onSpawned?.(identity, logFile);
  await waitUntilReady('nats-server', identity, logFile, 20_000, () => answers(options.port));
  return { identity, url: `nats://127.0.0.1:${options.port}`, logFile };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('data', (data) => end(data.toString('latin1').startsWith('INFO ')));
  });
}
