/**
 * What each server of a bus holds of each stream, by its monitoring (`/jsz`), and what is wrong with it: a replica may lack
 * messages and be reported as current all the same. The comparison is pure.
 */
import { STREAMS } from '@plinth/contracts';

/** One server's copy of a stream. */
export interface StreamReplica {
  readonly server: string;
  readonly stream: string;
  /** Name of the server that decides; absent where there is one server. */
  readonly leader?: string;
  readonly messages: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

interface StreamDetail {
  readonly name: string;
  readonly cluster?: { readonly leader?: string };
  readonly state: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
}

interface JetStreamState {
  readonly account_details?: readonly { readonly stream_detail?: readonly StreamDetail[] }[];
}

const ACCOUNT = 'CORE';
const TIMEOUT_MS = 5_000;

/** @param monitor of one server, e.g. `http://10.0.0.5:8222` @throws TypeError when it does not answer */
export async function replicasAt(monitor: string): Promise<readonly StreamReplica[]> {
  const read = async (path: string): Promise<unknown> => {
    const response = await fetch(new URL(path, monitor), { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return response.json();
  };
  const [{ server_name: server }, state] = (await Promise.all([
    read('/varz'),
    read(`/jsz?acc=${ACCOUNT}&streams=true`),
  ])) as [{ server_name: string }, JetStreamState];
  const streams = (state.account_details ?? []).flatMap((account) => account.stream_detail ?? []);
  return streams.map(({ name, cluster, state: { messages, first_seq, last_seq } }) => ({
    server,
    stream: name,
    ...(cluster?.leader === undefined ? {} : { leader: cluster.leader }),
    messages,
    firstSequence: first_seq,
    lastSequence: last_seq,
  }));
}

/** Nothing is deleted from the middle of these. */
const WITHOUT_HOLES: readonly string[] = [STREAMS.events.name, STREAMS.reports.name];

/**
 * A line for each copy that lacks messages. While messages arrive copies differ by the newest ones: that is no problem.
 * @param replicas of all servers, read at the same time
 */
export function missingMessages(replicas: readonly StreamReplica[]): readonly string[] {
  return replicas.flatMap((replica) => {
    const { server, stream, messages, firstSequence, lastSequence } = replica;
    const lacks = messages === 0 ? 0 : lastSequence - firstSequence + 1 - messages;
    if (WITHOUT_HOLES.includes(stream)) return lacks > 0 ? [`${server} lacks ${lacks} messages of ${stream}`] : [];
    // Messages are deleted from these, on all servers alike: copies that are as far are the same.
    const alike = replicas.filter(
      (other) => other.stream === stream && other.lastSequence === lastSequence && other.firstSequence <= firstSequence,
    );
    const most = Math.max(...alike.map((other) => other.messages));
    return most > messages ? [`${server} lacks ${most - messages} messages of ${stream}`] : [];
  });
}
