/** `plinth tenant`: what holds for all containers of a tenant. */
import { type EgressPolicy, QUERIES, type TenantDetails } from '@plinth/contracts';
import { setTenantEgress, waitingHosts } from '@plinth/client';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { describeEgress } from '../output/network-view.js';
import { print } from '../output/print.js';
import { counted, table } from '../output/table.js';
import { parseName } from './arguments.js';
import { parseEgress } from './network-arguments.js';
import { duration, type SharedOptions, withShared } from './options.js';

interface SetOptions extends SharedOptions {
  egress?: EgressPolicy;
  wait: boolean;
  timeout: number;
}

const RULE = `
A packet to the outside has to be permitted by both: by the tenant's policy and by the container's own (plinth set
--egress). Neither widens the other. Containers of the tenant always reach each other, and answers always come through.
Containers that run are held to a change at once; connections that are open go on.`;

export function register(program: Command): void {
  const tenant = program
    .command('tenant')
    .description('show and set what holds for all containers of a tenant')
    .action(() => tenant.help({ error: true }));
  withShared(tenant.command('show'))
    .description('what containers of a tenant may reach, and which hosts hold them to it')
    .addHelpText('after', '\nExample:\n  plinth tenant show acme')
    .argument('<tenant>', 'name of the tenant', parseName)
    .action(async (name: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        const details = await client.query(QUERIES.tenant, { tenant: name });
        print(options, details, () => describe(details));
      });
    });
  withShared(tenant.command('set'))
    .description('change what all containers of a tenant may reach, those that run and those to come')
    .addHelpText(
      'after',
      `${RULE}\n\nExamples:\n  plinth tenant set acme --egress none\n` +
        '  plinth tenant set acme --egress 10.0.0.0/8 --egress 192.0.2.7:443/tcp\n  plinth tenant set acme --egress allow',
    )
    .argument('<tenant>', 'name of the tenant; it needs no container yet', parseName)
    .option(
      '--egress <policy>',
      'what they may reach outside of it: allow, none, or a network such as 10.0.0.0/8 or 192.0.2.7:443/tcp, repeatable',
      parseEgress,
    )
    .option('--no-wait', 'do not wait for hosts')
    .addOption(duration('--timeout <duration>', 'how long to wait for hosts', '60s'))
    .action(async (name: string, options: SetOptions, command: Command) => {
      const { egress } = options;
      if (egress === undefined)
        return command.error('error: name something to change, such as --egress none', { exitCode: 2 });
      await withClient(options.nats, async (client) => {
        const details = await setTenantEgress(client, name, egress, options.wait ? options.timeout : undefined);
        print(options, { ok: true, ...details }, () => sentence(details));
      });
    });
}

/** What follows from a change. */
export function sentence(details: TenantDetails): string {
  const { tenant, egress, hosts } = details;
  const inEffect = hosts.filter(({ effect }) => effect === 'yes');
  const where =
    hosts.length === 0
      ? 'it has no container with a network to the outside yet'
      : `in effect for ${counted(sum(inEffect), 'container', 'containers')} on ${counted(inEffect.length, 'host', 'hosts')}`;
  return [`egress of tenant ${tenant}: ${describeEgress(egress)}; ${where}`, ...warnings(details)].join('\n');
}

function warnings(details: TenantDetails): string[] {
  const waiting = waitingHosts(details);
  const never = details.egress.policy === 'allow' ? [] : details.hosts.filter(({ effect }) => effect === 'never');
  return [
    ...waiting.map(
      ({ host, containers, isReady }) =>
        `not in effect yet for ${counted(containers, 'container', 'containers')} on ${host}` +
        (isReady ? '' : ', which is silent: it takes effect when the host is back'),
    ),
    ...never.map(
      ({ host, containers }) =>
        `NOT HELD for ${counted(containers, 'container', 'containers')} on ${host}, which ` +
        `${containers === 1 ? 'has' : 'have'} the host's own network or one of CNI: plinth ps --tenant ` +
        `${details.tenant} --host ${host} lists them; move or remove them`,
    ),
  ];
}

function describe(details: TenantDetails): string {
  const { tenant, number, containers, egress, changedAt, hosts } = details;
  const rows: [string, string | number | null][] = [
    ['tenant', tenant],
    ['number', number],
    ['containers', containers],
    ['egress', describeEgress(egress)],
    ['changed', changedAt],
  ];
  const effects =
    hosts.length === 0
      ? ''
      : `\n\n${table(
          ['HOST', 'CONTAINERS', 'IN EFFECT'],
          hosts.map(({ host, containers: count, effect, isReady }) => [
            host,
            count,
            effect === 'never' && egress.policy !== 'allow' ? 'NEVER' : effect === 'no' ? noEffect(isReady) : 'yes',
          ]),
        )}`;
  const more = warnings(details);
  return `${table(['WHAT', 'VALUE'], rows)}${effects}${more.length > 0 ? `\n\n${more.join('\n')}` : ''}`;
}

const noEffect = (isReady: boolean): string => (isReady ? 'not yet' : 'not yet, the host is silent');

function sum(hosts: TenantDetails['hosts']): number {
  return hosts.reduce((all, { containers }) => all + containers, 0);
}
