/**
 * A process beside the agents of a machine that answers the containers' queries for names. It runs as long as any of
 * their containers has a name, so that names outlive an agent.
 */
import { runResolver } from '@plinth/names';

const [, , directory = '', builtAtMs = '0'] = process.argv;
await runResolver(directory, Number(builtAtMs));
