/** The image commands that retire versions and show what needs them. */
import { QUERIES } from '@plinth/contracts';
import { withClient } from '../connection.js';
import { retireImage } from '@plinth/client';
import { activeRollouts, blastRadius, type BlastRadius, collectable, type Relation, rolloutsOf } from '@plinth/client';
import { ClientError, type PlinthClient } from '@plinth/client';
import { print } from '../output/print.js';
import { table } from '../output/table.js';
import type { SharedOptions } from './options.js';

const RELATIONS: Readonly<Record<Relation, string>> = {
  on: 'on it',
  returns: 'goes back to it',
  remembers: 'known good, or not left yet',
};

export async function showBlastRadius(ref: string, options: SharedOptions): Promise<void> {
  await withClient(options.nats, async (client) => {
    const found = await blastRadius(client, ref);
    print(options, found, () => describe(found));
  });
}

function describe(found: BlastRadius): string {
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .map(([name, count]) => `${name} (${count})`)
      .join(', ');
  const rows: [string, string | number][] = [
    ['image', found.image],
    ['state', found.state],
    ['default', found.defaultOs ? 'OS' : found.defaultVersion ? 'version' : ''],
    ['storage nodes', found.storageNodes.join(', ')],
    ['tenants', counts(found.tenants)],
    ['hosts', counts(found.hosts)],
    ...Object.entries(RELATIONS).map(([relation, text]): [string, number] => [
      text,
      found.containers.filter((use) => use.relation === relation).length,
    ]),
    ['rollouts', found.rollouts.join(', ')],
  ];
  const containers = found.containers.map((use) => [
    use.name,
    use.tenant,
    use.host,
    use.state,
    RELATIONS[use.relation],
  ]);
  const uses = containers.length > 0 ? `\n\n${table(['CONTAINER', 'TENANT', 'HOST', 'STATE', 'USE'], containers)}` : '';
  return `${table(['WHAT', 'VALUE'], rows)}${uses}`;
}

export async function retire(ref: string, options: SharedOptions & { wait: boolean; timeout: number }): Promise<void> {
  await withClient(options.nats, async (client) => {
    await retireImage(client, ref, options.wait ? options.timeout : undefined);
    print(options, { image: ref, retired: true }, () =>
      options.wait
        ? `${ref} is retired, and no live storage node holds it`
        : `${ref} is retired; storage nodes remove it`,
    );
  });
}

interface Collected {
  readonly image: string;
  readonly state: string;
  readonly outcome: 'kept' | 'retired' | 'would-retire';
  readonly why: string;
}

/** Reasons that are no failure: something needs the version, or another request has retired it. */
const KEPT: readonly string[] = ['in-use', 'default-image', 'in-rollout', 'retired', 'not-promoted'];

export async function collect(
  options: SharedOptions & { keep: number; name?: string; dryRun?: boolean },
): Promise<void> {
  await withClient(options.nats, async (client) => {
    const candidates = collectable(await client.images(options.name), options.keep);
    const decide = options.dryRun ? await guess(client) : (image: string) => attempt(client, image);
    const results: Collected[] = [];
    for (const { image, state, keep } of candidates) {
      const decided: Pick<Collected, 'outcome' | 'why'> =
        keep === undefined ? await decide(image) : { outcome: 'kept', why: keep };
      results.push({ image, state, ...decided });
    }
    print(options, results, () =>
      table(
        ['IMAGE', 'STATE', 'OUTCOME', 'WHY'],
        results.map((one) => [one.image, one.state, one.outcome, one.why]),
      ),
    );
  });
}

async function attempt(client: PlinthClient, image: string): Promise<Pick<Collected, 'outcome' | 'why'>> {
  try {
    await retireImage(client, image, undefined);
    return { outcome: 'retired', why: 'nothing needs it' };
  } catch (error) {
    if (error instanceof ClientError && KEPT.includes(error.reason))
      return { outcome: 'kept', why: error.message.replace(/^retirement rejected \([a-z-]+\): /, '') };
    throw error;
  }
}

/** The likely answer; the certain one is the provisioner's decision on a request. */
async function guess(client: PlinthClient): Promise<(image: string) => Promise<Pick<Collected, 'outcome' | 'why'>>> {
  const rollouts = await activeRollouts(client);
  return async (image) => {
    const { items } = await client.query(QUERIES.containers, { needs: image, limit: 4 });
    if (items.length > 0) {
      const names = items.slice(0, 3).map(({ name }) => name);
      return { outcome: 'kept', why: `needed by ${names.join(', ')}${items.length > 3 ? ' and others' : ''}` };
    }
    const [rollout] = rolloutsOf(rollouts, image);
    return rollout === undefined
      ? { outcome: 'would-retire', why: 'nothing needs it' }
      : { outcome: 'kept', why: `rollout ${rollout} has not ended` };
  };
}
