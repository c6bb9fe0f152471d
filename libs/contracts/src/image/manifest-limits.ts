/** Bounds that no honest image comes near; a manifest beyond them is refused before anything is made. */
export const MANIFEST_LIMITS = {
  /** Size of `manifest.json`, bytes. */
  manifestBytes: 128 * 1024 ** 2,
  entries: 1_000_000,
  /** Length of one path, bytes; well below PATH_MAX with the master repository's own path before it. */
  pathBytes: 2_048,
  /** NAME_MAX of Linux file systems. */
  componentBytes: 255,
  depth: 64,
  /** Names of one file; ext4 takes 65,000. */
  links: 32_000,
  /** Size of one file, and of all files together. */
  contentBytes: 1024 ** 4,
  /** A user namespace has 65,536 ids: owners beyond could not be mapped. */
  ownerId: 65_535,
  /** 11 octal digits, what a ustar header holds. */
  mtime: 8 ** 11 - 1,
  mountScriptBytes: 1024 ** 2,
  places: 64,
  placeBytes: 16 * 1024 ** 3,
  placeInodes: 10_000_000,
} as const;
