/** STUB */
import type { MountPlan } from '@plinth/contracts';
export function checkMountPlan(_plan: MountPlan): void {}
export function mountScriptOf(_plan: MountPlan): string {
  return '#!/bin/sh\n';
}
