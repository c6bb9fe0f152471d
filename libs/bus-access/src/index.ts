export * from './access-directory.js';
export * from './members.js';
export { permissionTable } from './permission-table.js';
export { reloadAccess } from './reload-access.js';
