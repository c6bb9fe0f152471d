/** The servers of the bus that NATS_URL names: whether they are new enough for what is asked of them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { LEAST_REPLICATED, runsReplicas } from '@plinth/contracts';
import { type Check, fail, ok, warn } from './check.js';

export interface BusServer {
  readonly url: string;
  /** Absent: it does not answer. */
  readonly version?: string;
  /** Name of its cluster; absent: it is alone. */
  readonly cluster?: string;
}

const NAME = 'bus servers';
const PATIENCE_MS = 3_000;
const DEFAULT_PORT = 4222;
const SYNC =
  'have each server write before it acknowledges, with `sync_interval: always` in `jetstream {}`; without it a power cut of several servers at once loses acknowledged messages';

/** Pure. @param replicas PLINTH_BUS_REPLICAS; undefined: it is not set */
export function judgeBus(servers: readonly BusServer[], replicas: number | undefined): Check {
  const silent = servers.filter(({ version }) => version === undefined).map(({ url }) => url);
  const versions = [...new Set(servers.flatMap(({ version }) => version ?? []))];
  const found = `${servers.length - silent.length} of ${servers.length} answer, nats-server ${versions.join(', ') || '?'}`;
  const old = versions.filter((version) => !runsReplicas(version));
  const clustered = servers.some(({ cluster }) => cluster !== undefined);
  if ((replicas ?? 1) > 1 && old.length > 0)
    return fail(
      NAME,
      `${found}, PLINTH_BUS_REPLICAS=${replicas}`,
      `${old.join(', ')} loses acknowledged messages with replicas: use ${LEAST_REPLICATED} or later on every server, or one server`,
    );
  if ((replicas ?? 1) > 1 && !clustered && silent.length < servers.length)
    return fail(NAME, `${found}, no cluster`, `${replicas} replicas need a cluster of ${replicas} servers or more`);
  if (silent.length > 0) return warn(NAME, found, `start or reach ${silent.join(', ')}`);
  if (clustered && (replicas ?? 1) === 1)
    return warn(
      NAME,
      `${found}, a cluster`,
      'each stream is on one of them: set PLINTH_BUS_REPLICAS=3 for provisioners',
    );
  return (replicas ?? 1) > 1 ? warn(NAME, found, SYNC) : ok(NAME, found);
}

/** Nothing when no server is named. */
export async function checkBus(environment: Readonly<Record<string, string | undefined>>): Promise<readonly Check[]> {
  const { NATS_URL: urls, PLINTH_BUS_REPLICAS: replicas } = environment;
  if (!urls) return [];
  const servers = await Promise.all(urls.split(',').map((url) => askServer(url.trim())));
  return [judgeBus(servers, replicas ? Number(replicas) : undefined)];
}

/** A server says what it is before anybody logs in. */
async function askServer(url: string): Promise<BusServer> {
  const whole = url.includes('://') ? url : `nats://${url}`;
  if (!URL.canParse(whole)) return { url };
  const { hostname, port } = new URL(whole);
  const shown = `${hostname}:${port || DEFAULT_PORT}`;
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || DEFAULT_PORT) });
  try {
    const [data] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer];
    const { version, cluster } = readInfo(data.toString());
    return { url: shown, ...(version === undefined ? {} : { version }), ...(cluster === undefined ? {} : { cluster }) };
  } catch {
    // Whatever the reason is: it can't be used from here.
    return { url: shown };
  } finally {
    socket.destroy();
  }
}

/** Of `INFO {…}`, the first line of the protocol. */
function readInfo(line: string): { readonly version?: string; readonly cluster?: string } {
  const [, json = '{}'] = /^INFO (\{.*\})/.exec(line) ?? [];
  const found = JSON.parse(json) as Record<string, unknown>;
  const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
  return { version: text(found['version']), cluster: text(found['cluster']) };
}
