/** A recipe with every field checked and every short form expanded. */
import type { ImageRef, PlaceContent } from '@plinth/contracts';

export type RecipeSource =
  | {
      readonly kind: 'mmdebstrap';
      /** Debian's code name, e.g. `bookworm`. */
      readonly suite: string;
      readonly variant: 'minbase' | 'essential' | 'apt' | 'required' | 'important' | 'standard';
      readonly components: readonly string[];
      /** Absent: the builder's own. */
      readonly mirror?: string;
      /** `20250901T000000Z`: the state of the archive at this time, from the builder's archive of snapshots. */
      readonly snapshot?: string;
      /** Also the suite's security archive. */
      readonly security: boolean;
    }
  | { readonly kind: 'rootfs'; readonly path?: string; readonly url?: string; readonly sha256: string }
  | {
      readonly kind: 'oci';
      readonly path: string;
      /** Tag or manifest digest in the layout's index. */ readonly ref: string;
    }
  | { readonly kind: 'image'; readonly ref: ImageRef };

export interface RecipeFile {
  /** Absolute and normal. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  /** `user:group`, names or numbers, looked up in the image. */
  readonly owner: { readonly user: string; readonly group: string };
}

export interface RecipePlace {
  readonly path: string;
  readonly bytes: number;
  readonly inodes: number;
  readonly content: PlaceContent;
  /** Absent: the directory's own in the image. */
  readonly mode?: number;
}

export interface RecipeTest {
  readonly name: string;
  readonly command: readonly string[];
  readonly expectExit: number;
  /** Text that standard output must hold. */
  readonly expectOutput?: string;
  readonly timeoutSeconds: number;
}

export interface Recipe {
  readonly name: string;
  readonly source: RecipeSource;
  readonly packages: { readonly add: readonly string[]; readonly remove: readonly string[] };
  readonly files: readonly RecipeFile[];
  readonly run: readonly (readonly string[])[];
  readonly auth: {
    /** Lines of /etc/nsswitch.conf that are replaced or added. */
    readonly nsswitch: Readonly<Record<string, readonly string[]>>;
    /** Whole files below /etc/pam.d. */
    readonly pam: Readonly<Record<string, string>>;
  };
  /** Absent: the parent's, else UTC. */
  readonly timezone?: string;
  readonly env: Readonly<Record<string, string>>;
  /** Absent: the parent's, else the defaults. */
  readonly writable?: readonly RecipePlace[];
  readonly mountScript?: string;
  /** Absent: the source's; empty: none. */
  readonly entrypoint?: readonly string[];
  /** Absent: the source's, else an idle init. */
  readonly command?: readonly string[];
  /** Absent: the source's, else `/`. */
  readonly workingDirectory?: string;
  /** `user` or `user:group`, names or numbers. Absent: the source's, else root. */
  readonly user?: string;
  readonly stopSignal?: string;
  /** Such as `80/tcp`, sorted. Absent: the source's; empty: none. */
  readonly exposedPorts?: readonly string[];
  /** Absent: the parent's, else none. */
  readonly privileges?: 'none' | 'setuid';
  readonly tests: readonly RecipeTest[];
  /** Seconds since the epoch for everything that the build makes, and the latest time of any entry. */
  readonly sourceDateEpoch?: number;
}
