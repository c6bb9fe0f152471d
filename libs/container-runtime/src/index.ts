export * from './spec/container-spec.js';
export * from './spec/instance-spec.js';
export * from './spec/mount-plan.js';
export * from './spec/planned-mounts.js';
export * from './spec/etc-layer.js';
export * from './spec/seccomp-profile.js';
export * from './spec/oci-config.js';
export * from './kernel/process-table.js';
export * from './kernel/cgroups.js';
export * from './kernel/directory-watch.js';
export * from './run/runtime-binary.js';
export { instanceName } from './run/runtime-paths.js';
export * from './kernel/private-mount-namespace.js';
export {
  OciRuntime,
  ContainerStuckError,
  type OciRuntimeOptions,
  type StartOptions,
  type StartResult,
  type StartedContainer,
  type StartPhases,
} from './oci-runtime.js';
export type { StartFailure, StartFailureReason } from './spec/start-failure.js';
export type { CheckResult, ContainerCheck } from './run/container-check.js';
export type { ExecOptions, ExecResult } from './run/container-exec.js';
export type { ObservedContainer, ExitStatus } from './run/observed-container.js';
export type { RuntimePaths } from './run/runtime-paths.js';
export * from './run/premount-checks.js';
export * from './spec/mount-script.js';
