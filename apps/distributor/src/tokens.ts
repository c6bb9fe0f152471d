/** Injection tokens of what is no class. */
export const STORAGE_NODE = Symbol('this storage node');
/** Of the `InstallationParts`. */
export const INSTALLATION_PARTS = Symbol('what an installation works with');
