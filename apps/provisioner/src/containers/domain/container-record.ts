/** A container as the provisioner stores it, and the facts and status that are derived from it. */
import type {
  ContainerConfig,
  ContainerFact,
  ContainerReport,
  ContainerStarted,
  ContainerState,
  ContainerStatus,
  FailedCheck,
  HealthState,
  MoveReason,
  ReachedLimit,
  UpdateStatus,
} from '@plinth/contracts';

export interface ContainerRecord {
  readonly id: string;
  readonly state: ContainerState;
  readonly config: ContainerConfig;
  readonly pid: number | null;
  readonly restarts: number;
  readonly exitCode: number | null;
  readonly message: string | null;
  readonly reportSequence: number;
  readonly requestedAt: string;
  readonly startedAt: string | null;
  /** Images on which the container stayed healthy for a soak time, newest first. */
  readonly knownGood: readonly string[];
  readonly update: UpdateStatus | null;
  /** The image on which the container runs, or will be restarted, by its host's last report; null: none. */
  readonly runningImage: string | null;
  /** Set while the container moves to another host. */
  readonly moving: Move | null;
  /** As last reported by its host; null: the container does not run, or has no health check. */
  readonly health: HealthState | null;
  /** Results of the checks when the container last became unhealthy, oldest first. */
  readonly failedChecks: readonly FailedCheck[];
  /** The last time of each limit that it has reached. */
  readonly limitsReached: readonly ReachedLimit[];
  /** That a network of CNI gave its last run; null: those of its config hold. */
  readonly addresses: readonly string[] | null;
}

export interface Move {
  readonly reason: MoveReason;
  /** The host on which room is reserved; null: none yet. */
  readonly to: string | null;
  /** The desired state on that host. */
  readonly desired: 'running' | 'stopped';
  /** The old host has released the container. */
  readonly released: boolean;
}

export function statusOf(record: ContainerRecord): ContainerStatus {
  const { config } = record;
  return {
    id: record.id,
    name: config.name,
    tenant: config.tenant,
    state: record.state,
    desired: config.desired,
    host: config.host,
    storageNode: config.storageNode,
    image: config.image,
    imageAsked: config.imageAsked ?? null,
    fallbackReason: config.fallbackReason ?? null,
    pid: record.pid,
    requestedAt: record.requestedAt,
    startedAt: record.startedAt,
    restarts: record.restarts,
    exitCode: record.exitCode,
    message: record.message,
    generation: config.generation,
    knownGood: record.knownGood[0] ?? null,
    update: record.update,
    // Nothing is known of a container whose host is lost.
    health: record.state === 'running' || record.state === 'stopping' ? record.health : null,
    // What a removed container had may be another's.
    address: (record.state === 'removed' || record.addresses !== null ? undefined : config.address) ?? null,
    // Plugins give others with each run.
    addresses: record.addresses && (HAS_PROCESSES.includes(record.state) ? record.addresses : []),
    ports: (record.state === 'removed' ? undefined : config.ports) ?? [],
    limitsReached: record.limitsReached,
  };
}

export function factOf(config: ContainerConfig): ContainerFact {
  return {
    containerId: config.containerId,
    name: config.name,
    tenant: config.tenant,
    host: config.host,
    generation: config.generation,
    image: config.image,
  };
}

/** States in which it runs, as far as is known. */
const HAS_PROCESSES: readonly ContainerState[] = ['running', 'stopping', 'lost'];

/** Reports after which the first process is still, or again, the one that was reported. */
const ALIVE: readonly ContainerReport['kind'][] = [
  'started',
  'stopping',
  'healthy',
  'unhealthy',
  'updated',
  'reverted',
  'update-refused',
];
/** Reports that carry the health, or, by leaving it out, mean that the container has no check. */
const HEALTH_REPORTS: readonly ContainerReport['kind'][] = ['started', 'healthy', 'unhealthy'];

/** Reports after which the previous failure is over. */
const CLEARS: readonly ContainerReport['kind'][] = ['started', 'healthy'];

/** The record after a report was taken; `state` comes from the state machine. */
export function afterReport(record: ContainerRecord, report: ContainerReport, state: ContainerState): ContainerRecord {
  if (report.kind === 'limited')
    return { ...record, reportSequence: report.sequence, limitsReached: withReached(record, report.reached) };
  const alive = ALIVE.includes(report.kind);
  return {
    ...record,
    state,
    reportSequence: report.sequence,
    pid: report.kind === 'started' ? (report.pid ?? null) : alive ? record.pid : null,
    startedAt: report.kind === 'started' ? (report.startedAt ?? report.at) : record.startedAt,
    restarts: report.restarts ?? record.restarts,
    exitCode: report.kind === 'started' ? null : (report.exitCode ?? record.exitCode),
    message: report.message ?? (CLEARS.includes(report.kind) ? null : record.message),
    runningImage: runningImage(record, report),
    health: HEALTH_REPORTS.includes(report.kind) ? (report.health ?? null) : alive ? record.health : null,
    failedChecks: report.failedChecks ?? record.failedChecks,
    addresses: report.kind === 'started' ? (report.addresses ?? null) : record.addresses,
  };
}

function withReached({ limitsReached }: ContainerRecord, reached: ReachedLimit | undefined): readonly ReachedLimit[] {
  if (reached === undefined) return limitsReached;
  return [...limitsReached.filter(({ limit }) => limit !== reached.limit), reached];
}

/** A host that restarts a container by itself may use an older config and its image. */
function runningImage(
  { runningImage: before, config }: ContainerRecord,
  { kind, image, retryInMs }: ContainerReport,
): string | null {
  if (kind === 'started') return image ?? config.image;
  const over = kind === 'removed' || ((kind === 'stopped' || kind === 'failed') && retryInMs === undefined);
  return over ? null : before;
}

/** @returns undefined when the report lacks what the fact needs */
export function startedFact(config: ContainerConfig, report: ContainerReport): ContainerStarted | undefined {
  if (report.pid === undefined || report.phases === undefined) return undefined;
  const at = (text: string | undefined): number => Date.parse(text ?? report.at);
  const begun = at(report.begunAt);
  const started = at(report.startedAt);
  const restarts = report.restarts ?? 0;
  const requested = Date.parse(config.requestedAt);
  const decided = Date.parse(config.decidedAt);
  // A restart by policy has no request of its own: its duration begins with the agent's work.
  const answersRequest = begun - decided < 60_000 && report.generation === config.generation;
  return {
    ...factOf(config),
    generation: report.generation,
    // A container that is being reverted runs another image than that of its config.
    image: report.image ?? config.image,
    imageAsked: config.imageAsked,
    fallbackReason: config.fallbackReason,
    storageNode: config.storageNode,
    dataVolume: config.dataVolume,
    pid: report.pid,
    startedAt: new Date(started).toISOString(),
    durationMs: Math.max(0, started - (answersRequest && restarts === 0 ? requested : begun)),
    phases: {
      decide: Math.max(0, decided - requested),
      deliver: answersRequest ? Math.max(0, begun - decided) : 0,
      ...report.phases,
    },
    restarts,
    users: report.users,
    address: report.addresses === undefined ? config.address : undefined,
    addresses: report.addresses,
    // Whose name it is, is not for the host to say.
    dnsName: report.dnsName?.startsWith(`${config.name}.${config.tenant}.`) === true ? report.dnsName : undefined,
    ports: config.ports,
  };
}
