/** Injection tokens of values that are not classes. */
export const STORAGE_NODE = Symbol('this storage node');
/** Token of the `InstallationParts`. */
export const INSTALLATION_PARTS = Symbol('installation parts');
