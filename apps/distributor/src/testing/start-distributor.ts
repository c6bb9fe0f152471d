import { refusedStart, type RefusedStart, ServiceProcess } from '@plinth/testkit';

/** A distributor that reports its state often. @param env variables that differ from the defaults */
export function startDistributor(env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
  return ServiceProcess.start('distributor', {
    PLINTH_SERVICE_ID: 'distributor-1',
    PLINTH_HEARTBEAT_SECONDS: '0.2',
    ...env,
  });
}

/** Starts a distributor that must refuse its configuration. */
export function refusedDistributor(env: Readonly<Record<string, string>>): RefusedStart {
  return refusedStart('distributor', { PLINTH_SERVICE_ID: 'distributor-1', ...env });
}
