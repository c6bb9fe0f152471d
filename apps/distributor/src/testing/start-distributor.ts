import { refusedStart, type RefusedStart, ServiceProcess } from '@plinth/testkit';

/** A distributor that reports its state often. @param env what is different */
export function startDistributor(env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
  return ServiceProcess.start('distributor', {
    PLINTH_SERVICE_ID: 'distributor-1',
    PLINTH_HEARTBEAT_SECONDS: '0.2',
    ...env,
  });
}

/** One that must not come up. */
export function refusedDistributor(env: Readonly<Record<string, string>>): RefusedStart {
  return refusedStart('distributor', { PLINTH_SERVICE_ID: 'distributor-1', ...env });
}
