/** Everything an agent can do to one container, as data. */
import type { LocalRecord, ReportBody } from './local-record.js';

export type Step =
  | { readonly kind: 'create-volume' }
  | { readonly kind: 'premount' }
  /** Checks whether the image of an update can be started here; changes nothing. */
  | { readonly kind: 'check-image' }
  | { readonly kind: 'make-snapshot' }
  | { readonly kind: 'restore-snapshot' }
  | { readonly kind: 'discard-snapshot' }
  | { readonly kind: 'start' }
  /** Brings a changed config into effect for a run that goes on, as far as that goes, and reports it. */
  | { readonly kind: 'apply'; readonly report: ReportBody }
  | { readonly kind: 'stop'; readonly signal?: string; readonly graceMs: number }
  | { readonly kind: 'kill' }
  | { readonly kind: 'delete-runtime' }
  | { readonly kind: 'delete-volume' }
  /** Another host may take the volume. */
  | { readonly kind: 'release-volume' }
  /**
   * Deletes the logs; the config stays as a tombstone until the bus no longer holds a desired state of the container.
   */
  | { readonly kind: 'forget' }
  | { readonly kind: 'wait-until'; readonly atMs: number; readonly why: string }
  | { readonly kind: 'remember'; readonly change: Partial<LocalRecord>; readonly why: string }
  /** `change` is written to the record with it. */
  | {
      readonly kind: 'report';
      readonly report: ReportBody;
      readonly withLogTail: boolean;
      readonly change?: Partial<LocalRecord>;
    };

export type StepKind = Step['kind'];
export type StepOf<K extends StepKind> = Extract<Step, { kind: K }>;

/** One line for the log. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'create-volume':
      return 'create the data volume unless it exists';
    case 'premount':
      return 'check image, mount plan, volume and software';
    case 'check-image':
      return 'check whether the new image can be started here';
    case 'make-snapshot':
      return 'copy the data volume';
    case 'restore-snapshot':
      return 'put the copy of the data volume back';
    case 'discard-snapshot':
      return 'remove the copy of the data volume';
    case 'start':
      return 'start';
    case 'apply':
      return 'bring the present config into effect';
    case 'stop':
      return `send ${step.signal ?? "the image's stop signal"}, kill after ${step.graceMs} ms`;
    case 'kill':
      return 'kill every process';
    case 'delete-runtime':
      return 'delete bundle and runtime state';
    case 'delete-volume':
      return 'delete the data volume';
    case 'release-volume':
      return 'release the data volume';
    case 'forget':
      return 'delete its runtime state and logs';
    case 'wait-until':
      return `wait until ${new Date(step.atMs).toISOString()}: ${step.why}`;
    case 'remember':
      return `remember: ${step.why}`;
    case 'report':
      return `report ${step.report.kind}`;
  }
}
