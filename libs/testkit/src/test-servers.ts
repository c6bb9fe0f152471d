/** Real servers for tests: free ports, data in a scratch folder, ended with the test process however that ends. */
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  copyPostgresTemplate,
  endProcess,
  freePort,
  makePostgresTemplate,
  postgresVersion,
  type ProcessIdentity,
  removePostgresData,
  startNatsServer,
  startPostgresServer,
} from '@plinth/local-servers';
import { scratchDirectory } from './scratch-directory.js';
import { madeOnce } from './test-cache.js';

const GRACE_MS = 5_000;

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** The running process, for tests that kill it. */
  readonly identity: ProcessIdentity;
  readonly logFile: string;
  /** Ends the server; with the data kept, `start` continues on it. */
  pause(): Promise<void>;
  /** Starts a paused or killed server again on its port and data. */
  start(): Promise<void>;
  /** Ends the server and deletes its data. */
  stop(): Promise<void>;
}

type Launch = (
  directory: string,
  port: number,
) => Promise<{ readonly identity: ProcessIdentity; readonly url: string; readonly logFile: string }>;

async function testServer(launch: Launch, endSignal: NodeJS.Signals): Promise<TestServer> {
  const scratch = scratchDirectory();
  // PostgreSQL's unprivileged user passes through.
  chmodSync(scratch.path, 0o711);
  const directory = join(scratch.path, 'server');
  const discard = (): void => {
    removePostgresData(directory);
    scratch.stop();
  };
  try {
    const port = await freePort();
    let running = await launch(directory, port);
    const pause = async (): Promise<void> => void (await endProcess(running.identity, endSignal, GRACE_MS));
    return {
      url: running.url,
      port,
      get identity() {
        return running.identity;
      },
      logFile: running.logFile,
      pause,
      start: async () => {
        await pause();
        running = await launch(directory, port);
      },
      stop: async () => {
        await pause();
        discard();
      },
    };
  } catch (error) {
    discard();
    throw error;
  }
}

/**
 * A nats-server with JetStream.
 * @param includes configuration files, such as access rules; absent: every client that reaches the port may do
 * everything
 */
export function startNats(includes: readonly string[] = []): Promise<TestServer> {
  return testServer((directory, port) => startNatsServer({ directory, port, life: 'bound', includes }), 'SIGTERM');
}

/** A PostgreSQL server with the empty database `plinth`. */
export async function startPostgres(): Promise<TestServer> {
  const launch: Launch = async (directory, port) => {
    await givePostgresData(directory);
    return startPostgresServer({ directory, port, life: 'bound' });
  };
  return testServer(launch, 'SIGINT');
}

/** Gives a server in this directory data that no server has run on, unless it has data or can only make its own. */
export async function givePostgresData(directory: string): Promise<void> {
  const template = await postgresTemplate();
  if (template !== undefined) await copyPostgresTemplate(template, directory);
}

/** New data are a second of computing, and each file has a server of its own; undefined: each makes its own data. */
async function postgresTemplate(): Promise<string | undefined> {
  const directory = await madeOnce(`postgres-${postgresVersion()}`, async (finished) => {
    const staging = mkdtempSync(`${finished}-new-`);
    try {
      await makePostgresTemplate(staging);
      renameSync(staging, finished);
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
  });
  return existsSync(join(directory, 'data')) ? directory : undefined;
}
