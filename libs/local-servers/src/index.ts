export { freePort } from './free-port.js';
export { startNatsServer } from './nats-server.js';
export { removePostgresData } from './postgres-account.js';
export { copyPostgresTemplate, makePostgresTemplate, postgresVersion, startPostgresServer } from './postgres-server.js';
export { endProcess, identify, isAlive, type ProcessIdentity, signalProcess } from './process-identity.js';
export { ServerStartError, spawnServer, tailOf, waitUntilReady } from './spawn-server.js';
export {
  CGROUPS,
  cgroupHierarchies,
  directoriesIn,
  isBelow,
  linkOfProcess,
  mountTargets,
  processIds,
  readProcess,
} from './kernel-tables.js';
