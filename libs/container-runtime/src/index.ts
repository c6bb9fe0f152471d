export * from './spec/container-spec.js';
export * from './spec/instance-spec.js';
export * from './spec/mount-plan.js';
export * from './spec/planned-mounts.js';
export * from './spec/etc-layer.js';
export * from './spec/seccomp-profile.js';
export * from './spec/oci-config.js';
export * from './kernel/process-table.js';
export * from './kernel/cgroups.js';
export { cgroupContainerIds, containerGroup } from './kernel/container-group.js';
export { monitorGroup, OutlivingGroup } from './kernel/outliving-group.js';
export * from './kernel/limit-events.js';
export * from './kernel/cgroup-limits.js';
export { cgroupLayout, cgroupVersion } from './kernel/cgroup-tree.js';
export {
  heldLimits,
  type HeldLimit,
  unheldLimits,
  LIMIT_POLICIES,
  type LimitPolicy,
  type MissingLimit,
  missingLimits,
} from './kernel/held-limits.js';
export { type KernelFeature, kernelFeatures, missingFeatures } from './kernel/kernel-features.js';
export { diskOf, ioControls } from './kernel/io-controls.js';
export type { ChangedLimit, CpuThrottling, Disk, LimitEvents } from './kernel/limit-files.js';
export * from './kernel/directory-watch.js';
export * from './run/runtime-binary.js';
export { instanceName } from './run/runtime-paths.js';
export * from './kernel/private-mount-namespace.js';
export { OciRuntime, type OciRuntimeOptions } from './oci-runtime.js';
export { ContainerStuckError } from './run/interrupted-start.js';
export type { StartOptions, StartResult, StartedContainer, StartPhases } from './spec/start-result.js';
export type { StartFailure, StartFailureReason } from './spec/start-failure.js';
export type { CheckResult, ContainerCheck } from './run/container-check.js';
export type { ExecOptions, ExecResult } from './run/container-exec.js';
export type { ObservedContainer, ExitStatus } from './run/observed-container.js';
export type { RuntimePaths } from './run/runtime-paths.js';
export * from './run/premount-checks.js';
export { tryOwnUsers } from './run/own-users-check.js';
export { freeIdRanges, ID_RANGES_DIRECTORY } from './run/id-ranges.js';
export * from './spec/mount-script.js';
export * from './spec/script-jail.js';
