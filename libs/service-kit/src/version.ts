/** The release that this code belongs to, as in package.json; version.spec.ts compares them. */
export const VERSION = '0.1.0';
