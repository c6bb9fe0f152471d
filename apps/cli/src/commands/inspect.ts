import {
  constraintText,
  type ContainerDetails,
  type ContainerStats,
  type EffectiveHealthCheck,
  type EgressPolicy,
  groupRuleText,
  QUERIES,
} from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { ClientError } from '@plinth/client';
import { print } from '../output/print.js';
import { describeBandwidth, describeIo, describeLimits, describeReachedLimit } from '../output/limits-view.js';
import { containerName } from '@plinth/names';
import { describeEgress, describePorts, domainOf } from '../output/network-view.js';
import { age, bytes, counted, table } from '../output/table.js';
import { placementRows } from '../output/placement-view.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

export function register(program: Command): void {
  withTenant(withShared(program.command('inspect')))
    .description('everything about one container: state, config, history, memory and mounts')
    .argument('<container>', 'name or id')
    .addHelpText('after', '\nExample:\n  plinth inspect shop-1')
    .action(async (name: string, options: SharedOptions & { tenant: string }) => {
      await withClient(options.nats, async (client) => {
        const details = await client.container(name, options.tenant);
        const stats =
          details.state === 'running' && details.host
            ? await client.stats(details.host, details.id).catch((error: unknown) => {
                // The host may be unreachable; the rest is still worth showing.
                if (error instanceof ClientError) return [];
                throw error;
              })
            : [];
        const { egress: tenantEgress } = await client.query(QUERIES.tenant, { tenant: details.tenant });
        const found = { ...details, stats: stats[0] ?? null, tenantEgress };
        print(options, found, () => describe(found));
      });
    });
}

interface Found extends ContainerDetails {
  readonly stats: ContainerStats | null;
  /** What all containers of its tenant may reach. */
  readonly tenantEgress: EgressPolicy;
}

function describe(found: Found): string {
  const { config, stats } = found;
  const asked = found.imageAsked === null ? 'none asked for' : `asked for ${found.imageAsked}`;
  const rows: [string, string | number | null | undefined][] = [
    ['id', found.id],
    ['name', `${found.name} of tenant ${found.tenant}`],
    [
      'state',
      `${found.state}, desired ${found.desired}${found.exitCode === null ? '' : `, exit code ${found.exitCode}`}`,
    ],
    ['health', found.health],
    ['message', found.message],
    ['host', found.host],
    [
      'image',
      found.image === null
        ? null
        : `${found.image} (${asked}${found.fallbackReason ? `, ${found.fallbackReason}` : ''})`,
    ],
    ['known good', found.knownGood],
    [
      'update',
      found.update
        ? `${found.update.state}: ${found.update.from} to ${found.update.to}` +
          (found.update.reason ? ` (${found.update.reason}: ${found.update.message ?? ''})` : '')
        : null,
    ],
    ['pid', found.pid],
    ['up', found.state === 'running' ? age(found.startedAt, Date.now()) : null],
    ['restarts', found.restarts],
  ];
  if (config) {
    rows.push(
      ['command', config.command ? JSON.stringify(config.command) : "the image's"],
      [
        'environment',
        Object.entries(config.env)
          .map(([key, value]) => `${key}=${value}`)
          .join(' '),
      ],
      ['time zone', config.timezone ?? "the image's"],
      ['software', config.software],
      ['limits', describeLimits(config.limits)],
      ['input, output', describeIo(config.limits.io)],
      ...found.limitsReached.map((reached): [string, string] => ['limit reached', describeReachedLimit(reached)]),
      [
        'restart',
        config.restart.maxRetries === undefined
          ? config.restart.policy
          : `${config.restart.policy}, ${config.restart.maxRetries} times`,
      ],
      ['network', config.network],
      ['users', config.hostUsers === true ? "the host's" : 'its own, where its host can'],
      ['address', found.address ? `${found.address.ipv4}, ${found.address.ipv6}` : found.addresses?.join(', ')],
      ['known as', found.address && containerName(found.name, found.tenant, domainOf(process.env))],
      ['ports', describePorts(found.ports)],
      ['egress', config.egress ? describeEgress(config.egress) : null],
      [
        'egress of its tenant',
        config.network === 'container' && found.tenantEgress.policy !== 'allow'
          ? `${describeEgress(found.tenantEgress)} (both have to permit it)`
          : null,
      ],
      ['bandwidth', describeBandwidth(config.bandwidth)],
      ['health check', config.health ? describeCheck(config.health) : null],
      ['only on', config.constraints?.map(constraintText).join(' and ')],
      ['group', config.group],
      ['spread', config.spread && groupRuleText(config.spread, config.group)],
      ['near', config.affinity && groupRuleText(config.affinity, config.group)],
      ['apart from', config.antiAffinity && groupRuleText(config.antiAffinity, config.group)],
      ...placementRows(found.placement),
      ['follows', config.follow ? 'the default image' : null],
      ['data', `volume ${config.dataVolume} on ${config.storageNode}`],
    );
  }
  if (stats)
    rows.push([
      'memory',
      `${bytes(stats.privateBytes)} private, ${bytes(stats.sharedBytes)} shared, ` +
        `${counted(stats.processes, 'process', 'processes')}`,
    ]);
  const history = table(
    ['AT', 'GENERATION', 'KIND', 'MESSAGE'],
    found.history.map((entry) => [entry.at, entry.generation, entry.kind, entry.message]),
  );
  const checks =
    found.failedChecks.length > 0
      ? `\n\n${table(
          ['FAILED CHECK', 'WHY', 'OUTPUT'],
          found.failedChecks.map((check) => [check.at, check.message, check.output.trim()]),
        )}`
      : '';
  const mounts = stats
    ? `\n\n${table(
        ['MOUNT', 'TYPE', 'ACCESS'],
        stats.mounts.map((mount) => [mount.target, mount.type, mount.readOnly ? 'ro' : 'rw']),
      )}`
    : '';
  return `${table(['WHAT', 'VALUE'], rows)}\n\n${history}${checks}${mounts}`;
}

function describeCheck(check: EffectiveHealthCheck): string {
  const start = check.startPeriodSeconds > 0 ? `, start period ${check.startPeriodSeconds} s` : '';
  return (
    `${JSON.stringify(check.exec)} every ${check.intervalSeconds} s, timeout ${check.timeoutSeconds} s, ` +
    `${check.retries} in a row${start}`
  );
}
