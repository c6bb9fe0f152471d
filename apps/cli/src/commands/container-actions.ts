/** stop, start, restart, rm. */
import { SUBJECTS } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../client/connection.js';
import { parseCount } from '../client/inputs.js';
import { ClientError, type Fact, type PlinthClient } from '../client/plinth-client.js';
import { escapeControls } from '../output/escape.js';
import { print } from '../output/print.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

interface ActionOptions extends SharedOptions {
  tenant: string;
  wait: boolean;
  keepData?: boolean;
  timeout: number;
}

interface Action {
  readonly name: string;
  readonly description: string;
  readonly subject: string;
  /** The fact that says it is done. */
  readonly done: string;
  readonly said: string;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  stop: { name: 'stop', description: 'stop containers; they stay where they are', subject: SUBJECTS.containerStopRequested, done: SUBJECTS.containerStopped, said: 'stopped' },
  start: { name: 'start', description: 'start stopped containers', subject: SUBJECTS.containerStartRequested, done: SUBJECTS.containerStarted, said: 'started' },
  restart: { name: 'restart', description: 'stop and start containers', subject: SUBJECTS.containerRestartRequested, done: SUBJECTS.containerStarted, said: 'restarted' },
  rm: { name: 'rm', description: 'remove containers and their data', subject: SUBJECTS.containerRemoveRequested, done: SUBJECTS.containerRemoved, said: 'removed' },
};

export function registerAction(program: Command, key: keyof typeof ACTIONS): void {
  const action = ACTIONS[key];
  if (!action) throw new TypeError(`no action ${key}`);
  const command = withTenant(withShared(program.command(action.name)))
    .description(action.description)
    .argument('<container...>', 'names or ids')
    .option('--no-wait', 'do not wait until it is done')
    .option('--timeout <seconds>', 'how long to wait', parseCount, 90)
    .addHelpText('after', `\nExample:\n  plinth ${action.name} shop-1 shop-2`);
  if (action.name === 'rm') command.option('--keep-data', 'leave the data volumes on the storage nodes');
  command.action(async (names: string[], options: ActionOptions) => {
    await withClient(options.nats, async (client) => {
      const results = await Promise.allSettled(names.map((name) => apply(client, action, name, options)));
      print(
        options,
        results.map((result, index) => (result.status === 'fulfilled' ? result.value : { container: names[index], ok: false, message: String((result.reason as Error).message) })),
        () => results.flatMap((result, index) => (result.status === 'fulfilled' ? [`${names[index]} ${options.wait ? action.said : 'asked for'}`] : [])).join('\n'),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed?.status === 'rejected') throw failed.reason;
    });
  });
}

async function apply(client: PlinthClient, action: Action, name: string, options: ActionOptions): Promise<{ container: string; id: string; ok: true }> {
  const { id } = await client.container(name, options.tenant);
  const answers = (fact: Fact): boolean =>
    fact.subject === SUBJECTS.containerRejected || (fact.data.containerId === id && [action.done, SUBJECTS.containerFailed].includes(fact.subject));
  const facts = await client.facts(['container.*'], (fact) => fact.data.containerId === id);
  const stream = await client.request(action.subject, { id, ...(action.name === 'rm' ? { keepData: options.keepData } : {}) }, ['container.rejected']);
  try {
    if (!options.wait) return { container: name, id, ok: true };
    const fact = await Promise.race([facts.first(answers, options.timeout * 1_000), stream.first(answers, options.timeout * 1_000)]);
    if (fact.subject !== action.done) throw new ClientError(`${name}: ${String(fact.data.reason)}: ${escapeControls(String(fact.data.message))}`, String(fact.data.reason));
    return { container: name, id, ok: true };
  } finally {
    stream.close();
    facts.close();
  }
}
