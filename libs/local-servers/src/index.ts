export { freePort } from './free-port.js';
export { startNatsServer } from './nats-server.js';
export { startPostgresServer, substituteDirectory } from './postgres-server.js';
export { endProcess, identify, isAlive, type ProcessIdentity, signalProcess } from './process-identity.js';
export { ServerStartError, spawnServer, tailOf, waitUntilReady } from './spawn-server.js';
