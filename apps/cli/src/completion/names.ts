/** Names of what is there, for completion: asked of the bus, with little patience. */
import { connectPlinth } from '@plinth/client';
import { QUERIES } from '@plinth/contracts';
import { busAddress } from '../connection.js';
import { readContexts } from '../contexts.js';
import type { Named } from './candidates.js';

/** A shell waits for it. */
const PATIENCE_MS = 800;

/** @returns none when the system does not answer in time: a completion has no place for an error */
export async function namesOf(kind: Named): Promise<readonly string[]> {
  if (kind === 'contexts') return Object.keys(readContexts().contexts);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<readonly string[]>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, []);
  });
  try {
    return await Promise.race([asked(kind), limit]);
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}

async function asked(kind: Exclude<Named, 'contexts'>): Promise<readonly string[]> {
  const client = await connectPlinth(busAddress(undefined));
  try {
    switch (kind) {
      case 'containers':
        return (await client.containers({})).map(({ name }) => name);
      case 'tenants':
        return [...new Set((await client.containers({})).map(({ tenant }) => tenant))];
      case 'images':
        return (await client.images()).map(({ name, version }) => `${name}@${version}`);
      case 'hosts':
        return (await client.hosts()).map(({ host }) => host);
      case 'storage':
        return (await client.storage()).map(({ node }) => node);
      case 'rollouts':
        return (await client.list(QUERIES.rollouts, {})).map(({ id }) => id.slice(0, 12));
    }
  } finally {
    await client.close();
  }
}
