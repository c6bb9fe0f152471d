import {
  type ContainerStatus,
  type HostStatus,
  type ImageSummary,
  type StorageStatus,
  STREAMS,
} from '@plinth/contracts';
import { readStored } from '@plinth/service-kit/messaging';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { ClientError, type PlinthClient } from '@plinth/client';
import { print } from '../output/print.js';
import { table } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';

interface Nodes {
  readonly ready: number;
  readonly lost: number;
}

interface Summary {
  /** Everything answers and no host or storage node is lost. */
  readonly ok: boolean;
  readonly provisioner: 'answers' | 'silent';
  readonly hosts: Nodes;
  readonly storageNodes: Nodes;
  readonly images: number;
  readonly defaultImage: string | null;
  /** Count per state. */
  readonly containers: Readonly<Record<string, number>>;
  /** Messages that no service could handle; null when their stream does not exist yet. */
  readonly deadLetters: number | null;
}

/** More dead letters than these are not counted one by one. */
const MOST_COUNTED = 1_000;

export function register(program: Command): void {
  withShared(program.command('status'))
    .description('the system at a glance')
    .addHelpText('after', '\nExample:\n  plinth status --json')
    .action(async (options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const summary = await summarise(client);
        print(options, summary, () => describe(summary));
        if (summary.provisioner === 'silent')
          throw new ClientError('the provisioner does not answer; is it running? its log may show why', 'no-answer');
      });
    });
}

async function summarise(client: PlinthClient): Promise<Summary> {
  const deadLetters = await countDeadLetters(client);
  try {
    const found = await Promise.all([client.hosts(), client.storage(), client.images(), client.containers()]);
    return summaryOf(...found, deadLetters);
  } catch (error) {
    if (!(error instanceof ClientError) || error.reason !== 'no-answer') throw error;
    return { ...summaryOf([], [], [], [], deadLetters), ok: false, provisioner: 'silent' };
  }
}

async function countDeadLetters({ connection }: PlinthClient): Promise<number | null> {
  const { NatsError } = await import('nats');
  try {
    let count = 0;
    for (let sequence = 1; count < MOST_COUNTED; count++) {
      const letter = await readStored(connection, STREAMS.deadLetters.name, { seq: sequence, next_by_subj: '>' });
      if (!letter) break;
      sequence = letter.sequence + 1;
    }
    return count;
  } catch (error) {
    if (error instanceof NatsError) return null;
    throw error;
  }
}

function summaryOf(
  hosts: readonly HostStatus[],
  storage: readonly StorageStatus[],
  images: readonly ImageSummary[],
  containers: readonly ContainerStatus[],
  deadLetters: number | null,
): Summary {
  const states: Record<string, number> = {};
  for (const container of containers) states[container.state] = (states[container.state] ?? 0) + 1;
  const defaultImage = images.find((image) => image.defaultOs);
  const lost = [...hosts, ...storage].some((node) => node.state !== 'ready');
  return {
    ok: !lost,
    provisioner: 'answers',
    hosts: count(hosts),
    storageNodes: count(storage),
    images: images.length,
    defaultImage: defaultImage ? `${defaultImage.name}@${defaultImage.version}` : null,
    containers: states,
    deadLetters,
  };
}

function count(nodes: readonly { readonly state: HostStatus['state'] }[]): Nodes {
  const ready = nodes.filter((node) => node.state === 'ready').length;
  return { ready, lost: nodes.length - ready };
}

function describe(summary: Summary): string {
  if (summary.provisioner === 'silent')
    return table(
      ['WHAT', 'VALUE'],
      [
        ['bus', 'answers'],
        ['provisioner', 'silent'],
        ['dead letters', summary.deadLetters],
      ],
    );
  const lost = summary.ok ? '' : '\n\na host or storage node is lost; try: plinth hosts, plinth storage';
  const containers = Object.entries(summary.containers).map(([state, number]) => `${number} ${state}`);
  const lines = table(
    ['WHAT', 'VALUE'],
    [
      ['hosts', `${summary.hosts.ready} ready, ${summary.hosts.lost} lost`],
      ['storage nodes', `${summary.storageNodes.ready} ready, ${summary.storageNodes.lost} lost`],
      ['image versions', summary.images],
      ['default image', summary.defaultImage ?? 'none: plinth image activate <name>@<version>'],
      ['containers', containers.join(', ') || 'none'],
      ['dead letters', summary.deadLetters],
    ],
  );
  return `${lines}${lost}`;
}
