/** Assembles a manifest and sets its identity, which follows from its content. */
import {
  contentBytes,
  contentDigestInput,
  type Digest,
  type ImageManifest,
  type ImageUser,
  type ManifestEntry,
  manifestSchema,
  type MountPlan,
} from '@plinth/contracts';
import type { ManifestSummary } from './image-build.js';
import type { ImageSettings } from './image-settings.js';

export interface ManifestParts {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly recipeDigest: Digest;
  readonly parent?: string;
  readonly settings: ImageSettings;
  /** As looked up in the finished tree; absent: root. */
  readonly user?: ImageUser;
  readonly mountPlan: MountPlan;
  readonly mountScript: { readonly digest: Digest; readonly bytes: number; readonly custom: boolean };
  readonly entries: readonly ManifestEntry[];
}

/** @param digestOf SHA-256 of a text's UTF-8 form */
export function sealManifest(parts: ManifestParts, digestOf: (text: string) => Digest): ImageManifest {
  const { settings, entries, user } = parts;
  const { entrypoint, workingDirectory, exposedPorts, privileges } = settings;
  const process = { entrypoint, workingDirectory, user, exposedPorts, privileges };
  const open = {
    schema: manifestSchema({ ...process, entries }),
    name: parts.name,
    version: parts.version,
    architecture: parts.architecture,
    recipeDigest: parts.recipeDigest,
    parent: parts.parent,
    mountPlan: parts.mountPlan,
    mountScript: parts.mountScript,
    environment: settings.environment,
    timezone: settings.timezone,
    command: settings.command,
    stopSignal: settings.stopSignal,
    ...process,
    totals: {
      entries: entries.length,
      bytes: contentBytes(entries),
    },
    entries,
  };
  return { ...open, contentDigest: digestOf(contentDigestInput(open)) };
}

export function summaryOf(manifest: ImageManifest): ManifestSummary {
  return {
    contentDigest: manifest.contentDigest,
    entries: manifest.totals.entries,
    bytes: manifest.totals.bytes,
    timezone: manifest.timezone,
    environment: manifest.environment,
    command: manifest.command,
    places: manifest.mountPlan.places.map(({ path, bytes, content }) => ({ path, bytes, content })),
    customMountScript: manifest.mountScript.custom,
    architecture: manifest.architecture,
    process: {
      entrypoint: manifest.entrypoint ?? [],
      workingDirectory: manifest.workingDirectory ?? '/',
      user: manifest.user ?? null,
      stopSignal: manifest.stopSignal,
      privileges: manifest.privileges ?? null,
      exposedPorts: manifest.exposedPorts ?? [],
    },
  };
}
