/** What a request changes of a container's config, apart from its ports. Pure. */
import { isDeepStrictEqual } from 'node:util';
import {
  type ChangeablePart,
  ContainerConfig,
  type ContainerChangeRequested,
  type ContainerRejected,
  type EffectiveLimits,
  type HostLimit,
  type PublishedPort,
  requestedLimits,
} from '@plinth/contracts';

export type ChangeRefusal = { readonly ok: false } & Pick<ContainerRejected, 'reason' | 'message'>;

type Values = Pick<ContainerConfig, 'limits' | 'egress' | 'bandwidth'>;

export interface RequestedValues extends Values {
  /** Parts that are not as before. */
  readonly changed: readonly ChangeablePart[];
}

const NETWORK_PARTS = ['publish', 'unpublish', 'egress', 'bandwidth'] as const;

/** @returns why the container can't be changed so, whatever else is true */
export function changeRefusal(config: ContainerConfig, request: ContainerChangeRequested): ChangeRefusal | undefined {
  const { limits, reset = [], restart } = request;
  const network = NETWORK_PARTS.filter((part) => request[part] !== undefined);
  const asks = network.length > 0 || reset.length > 0 || restart === true || Object.keys(limits ?? {}).length > 0;
  if (!asks) return { ok: false, reason: 'invalid-request', message: 'the request names nothing that is to change' };
  if (config.address === undefined && (network.length > 0 || reset.some((part) => part !== 'io')))
    return {
      ok: false,
      reason: 'wrong-state',
      message:
        `${config.name} has no address of its own, so it has no ports, egress and bandwidth: its network is ` +
        `${config.network}, and stays so; make it again with the network container`,
    };
  if (limits?.diskBytes !== undefined && config.limits.diskBytes === undefined)
    return {
      ok: false,
      reason: 'wrong-state',
      message:
        `the data volume of ${config.name} was made without a limit, and can't be given one: its files are not ` +
        'counted; make a container with a limit of its disk, and copy the data',
    };
  return undefined;
}

/** What is absent in the request stays. */
export function requestedValues(config: ContainerConfig, request: ContainerChangeRequested): RequestedValues {
  const { limits: asked = {}, reset = [] } = request;
  const of = <T>(part: (typeof reset)[number], before: T): T | undefined => (reset.includes(part) ? undefined : before);
  const limits: EffectiveLimits = {
    ...config.limits,
    ...defined(asked),
    io: merged(of('io', config.limits.io), asked.io),
  };
  const egress = request.egress ?? of('egress', config.egress);
  const bandwidth = merged(of('bandwidth', config.bandwidth), request.bandwidth);
  const before = config.limits;
  const differs: Readonly<Partial<Record<ChangeablePart, boolean>>> = {
    memory: limits.memoryBytes !== before.memoryBytes,
    cpus: limits.cpus !== before.cpus,
    pids: limits.pids !== before.pids,
    disk: limits.diskBytes !== before.diskBytes,
    'open-files': limits.openFiles !== before.openFiles,
    io: !isSame(limits.io, before.io),
    egress: !isSame(egress, config.egress),
    bandwidth: !isSame(bandwidth, config.bandwidth),
  };
  const changed = (Object.keys(differs) as ChangeablePart[]).filter((part) => differs[part]);
  return { limits, egress, bandwidth, changed };
}

/**
 * What it had not asked for before can't be promised where it is.
 * @param missing limits that its host can't hold
 */
export function unheldChange(
  before: Pick<ContainerConfig, 'limits' | 'bandwidth' | 'host' | 'name'>,
  { limits, bandwidth }: Values,
  missing: readonly HostLimit[],
): ChangeRefusal | undefined {
  const had = requestedLimits(before.limits.io, before.bandwidth);
  const unheld = requestedLimits(limits.io, bandwidth).filter(
    (limit) => missing.includes(limit) && !had.includes(limit),
  );
  if (unheld.length === 0) return undefined;
  return {
    ok: false,
    reason: 'limits-not-offered',
    message:
      `${before.host}, where ${before.name} is, can not hold it to ${unheld.join(' and ')}; ` +
      'plinth hosts -o wide shows who can, plinth doctor on the host what it needs',
  };
}

/** The next generation of the config. */
export function changedConfig(
  config: ContainerConfig,
  { limits, egress, bandwidth }: Values,
  ports: readonly PublishedPort[] | undefined,
  isRestart: boolean,
  times: { readonly requestedAt: string; readonly decidedAt: string },
): ContainerConfig {
  const generation = config.generation + 1;
  return Object.assign(new ContainerConfig(), config, {
    generation,
    limits,
    egress,
    bandwidth,
    ...(ports && { ports: ports.length > 0 ? [...ports] : undefined }),
    ...(isRestart && { runGeneration: generation, desired: 'running', requestedAt: times.requestedAt }),
    decidedAt: times.decidedAt,
  });
}

function merged<T extends object>(before: T | undefined, asked: T | undefined): T | undefined {
  return before === undefined && asked === undefined ? undefined : ({ ...before, ...defined(asked ?? {}) } as T);
}

/** Without fields whose value is undefined: an instance of a class has them all. */
function defined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined && item !== null),
  ) as Partial<T>;
}

const isSame = (one: unknown, other: unknown): boolean => isDeepStrictEqual(plain(one), plain(other));
const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
