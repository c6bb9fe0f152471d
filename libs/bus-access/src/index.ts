export * from './access-directory.js';
export * from './members.js';
export { permissionTable } from './permission-table.js';
export { reloadAccess } from './reload-access.js';
export { type ClusterOptions, serverConfig, type ServerOptions } from './server-config.js';
