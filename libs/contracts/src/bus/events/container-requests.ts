/** What upstream systems and operators ask for of containers. */
import { ArrayMaxSize, IsBoolean, IsIn, IsNumber, IsOptional, Matches, Max, Min } from 'class-validator';
import {
  Bandwidth,
  IoLimits,
  IsBandwidth,
  IsIoLimits,
  LEAST_DISK,
  LEAST_OPEN_FILES,
  MOST_DISK,
  MOST_OPEN_FILES,
} from '../../container-limits.js';
import {
  ArePortsDistinct,
  CONTAINER_NETWORKS,
  type ContainerNetwork,
  EgressPolicy,
  MAX_PUBLISHED_PORTS,
  NeedsContainerNetwork,
  PortRequest,
} from '../../container-network.js';
import { Nested, NestedEach } from '../../nested.js';
import { AffinityRule, LabelConstraint, MAX_CONSTRAINTS, NamesGroup, SpreadRule } from '../../placement-rules.js';
import { IsCommand, IsCount, IsEnvironment, IsSeconds, IsTimezone, IsToTheThousandth } from '../../rules.js';
import { ID_PATTERN, IMAGE_REF_PATTERN, NAME_PATTERN, NAME_WORDS, SOFTWARE_PATH_PATTERN } from '../../values.js';

export const RESTART_POLICIES = ['always', 'on-failure', 'never'] as const;
export type RestartPolicyName = (typeof RESTART_POLICIES)[number];

export class RestartPolicy {
  @IsIn(RESTART_POLICIES)
  policy!: RestartPolicyName;

  /**
   * Restarts in a row before the container counts as failed; absent: no limit. Staying up for a minute resets the
   * count.
   */
  @IsOptional()
  @IsCount()
  @Max(1000)
  maxRetries?: number;
}

/**
 * Whether a container does its work: a command inside it that ends with exit code 0. Run as long as the container does.
 */
export class HealthCheck {
  @IsCommand()
  exec!: string[];

  /** Seconds between the end of a check and the next; absent: 10. A host that can't keep up makes it longer. */
  @IsSeconds(0.1, 3600)
  intervalSeconds?: number;

  /** Seconds until a check that does not end counts as failed; absent: 5. */
  @IsSeconds(0.1, 3600)
  timeoutSeconds?: number;

  /** Failed checks in a row that make it unhealthy; absent: 3. */
  @IsOptional()
  @IsCount(1)
  @Max(1000)
  retries?: number;

  /** Seconds after the start in which failed checks do not count, until the first success; absent: 0. */
  @IsSeconds(0, 86_400)
  startPeriodSeconds?: number;
}

/** Limits are a container's own; absent: the provisioner's defaults. */
export class ResourceLimits {
  /** Memory, bytes; counts the writable places too. */
  @IsOptional()
  @IsCount(4 * 1024 ** 2)
  @Max(1024 ** 4)
  memoryBytes?: number;

  /** Processor time, in cores. */
  @IsOptional()
  @IsNumber()
  @IsToTheThousandth()
  @Min(0.01)
  @Max(1024)
  cpus?: number;

  /** Processes and threads. */
  @IsOptional()
  @IsCount(1)
  @Max(1_000_000)
  pids?: number;

  /**
   * Of the data volume, bytes; only on hosts that can hold it there, else the request is rejected. Absent: not limited.
   */
  @IsOptional()
  @IsCount(LEAST_DISK)
  @Max(MOST_DISK)
  diskBytes?: number;

  /** Files that one process may have open. */
  @IsOptional()
  @IsCount(LEAST_OPEN_FILES)
  @Max(MOST_OPEN_FILES)
  openFiles?: number;

  /** Input and output on disks; where the host's kernel can't do a part of it, that part is left out. */
  @IsOptional()
  @IsIoLimits()
  @Nested(() => IoLimits)
  io?: IoLimits;
}

/**
 * Asks for a container. Everything is optional: `{}` gives an idle container of a generated name on the default image.
 * The event's id is the idempotency key: the same id twice gives one container.
 */
export class ContainerRequested {
  /** Unique per tenant; absent: generated. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'name must be 1 to 63 lower-case letters, digits and inner hyphens' })
  name?: string;

  /** Absent: `default`. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'tenant must be 1 to 63 lower-case letters, digits and inner hyphens' })
  tenant?: string;

  /** `debian-12` or `debian-12@v3`; absent, or not to be served: the default version of the default OS. */
  @IsOptional()
  @Matches(IMAGE_REF_PATTERN, { message: 'image must be a name, or a name and a version such as debian-12@v3' })
  image?: string;

  /** Reject instead of falling back to the default image. */
  @IsOptional()
  @IsBoolean()
  strict?: boolean;

  /** Replaces the image's command and keeps its entry point. Absent: the image's. */
  @IsOptional()
  @IsCommand()
  command?: string[];

  @IsOptional()
  @IsEnvironment()
  env?: Record<string, string>;

  @IsOptional()
  @IsTimezone()
  timezone?: string;

  /** Path below the software repository, mounted read-only at /sw. */
  @IsOptional()
  @Matches(SOFTWARE_PATH_PATTERN, {
    message: 'software must be a path below the software repository, such as hello-web',
  })
  software?: string;

  @IsOptional()
  @Nested(() => ResourceLimits)
  limits?: ResourceLimits;

  @IsOptional()
  @Nested(() => RestartPolicy)
  restart?: RestartPolicy;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'datacenter must be 1 to 63 lower-case letters, digits and inner hyphens' })
  datacenter?: string;

  /** What labels its host has to have: all of them. Moves keep to it. */
  @IsOptional()
  @ArrayMaxSize(MAX_CONSTRAINTS)
  @NestedEach(() => LabelConstraint)
  constraints?: LabelConstraint[];

  /** Containers of its tenant that name the same group are placed with regard to each other, by the rules below. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `group must be ${NAME_WORDS}` })
  group?: string;

  /** Evenly with those of a group over hosts, racks or data centres. Moves keep to it. */
  @IsOptional()
  @NamesGroup()
  @Nested(() => SpreadRule)
  spread?: SpreadRule;

  /** Where some of a group are. Moves keep to it. */
  @IsOptional()
  @NamesGroup()
  @Nested(() => AffinityRule)
  affinity?: AffinityRule;

  /** Where none of a group is. Moves keep to it. */
  @IsOptional()
  @NamesGroup()
  @Nested(() => AffinityRule)
  antiAffinity?: AffinityRule;

  /**
   * `container`: an address of its own, on a host that offers it. `isolated`: a loopback only. `host`: the host's, where
   * its agent allows that. Absent: the provisioner's default, which is `container` where the host offers it.
   */
  @IsOptional()
  @IsIn(CONTAINER_NETWORKS)
  network?: ContainerNetwork;

  /** Ports to be reached from outside; they need the network `container`. */
  @IsOptional()
  @NeedsContainerNetwork()
  @ArePortsDistinct()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PortRequest)
  ports?: PortRequest[];

  /** What it may reach outside of its tenant, with the network `container`; absent: everything. */
  @IsOptional()
  @NeedsContainerNetwork()
  @Nested(() => EgressPolicy)
  egress?: EgressPolicy;

  /** What it may receive and send, with the network `container`; absent: no limit. */
  @IsOptional()
  @NeedsContainerNetwork()
  @IsBandwidth()
  @Nested(() => Bandwidth)
  bandwidth?: Bandwidth;

  /**
   * true: its root is the host's root, without a user namespace of its own. Only where the host's agent allows that, else
   * the container fails with `host-users-not-allowed`.
   */
  @IsOptional()
  @IsBoolean()
  hostUsers?: boolean;

  @IsOptional()
  @Matches(/^SIG[A-Z0-9+-]{2,10}$/)
  stopSignal?: string;

  /** Seconds between the stop signal and SIGKILL; absent: 10. */
  @IsOptional()
  @IsCount()
  @Max(3600)
  stopGraceSeconds?: number;

  @IsOptional()
  @Nested(() => HealthCheck)
  health?: HealthCheck;

  /** `default`: when another default image is activated, a rollout moves this container to it. */
  @IsOptional()
  @IsIn(['default'])
  follow?: 'default';
}

/** Names one container: by `id`, or by `name` within `tenant`. */
export class ContainerActionRequested {
  @IsOptional()
  @Matches(ID_PATTERN, { message: 'id must be 32 hex digits' })
  id?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'name must be 1 to 63 lower-case letters, digits and inner hyphens' })
  name?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'tenant must be 1 to 63 lower-case letters, digits and inner hyphens' })
  tenant?: string;
}
export class ContainerStopRequested extends ContainerActionRequested {}
export class ContainerStartRequested extends ContainerActionRequested {}
export class ContainerRestartRequested extends ContainerActionRequested {}
export class ContainerRemoveRequested extends ContainerActionRequested {
  /** Keep the data volume on the storage node. */
  @IsOptional()
  @IsBoolean()
  keepData?: boolean;
}
