/** Settings of an image beside its tree: the recipe's, else its source's, else the default. */
import type { ImageManifest, MountPlan } from '@plinth/contracts';
import type { Recipe, RecipePlace } from './recipe.js';
import { DEFAULT_PLACES } from './recipe-places.js';

/** Settings from the source of a tree: an image that it is built on, or the config of an OCI image. */
export interface SourceSettings {
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly workingDirectory?: string;
  /** As in {@link ImageSettings.user}. */
  readonly user?: string;
  readonly stopSignal?: string;
  readonly exposedPorts?: readonly string[];
  readonly privileges?: 'setuid';
  readonly places?: readonly RecipePlace[];
}

export interface ImageSettings {
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone: string;
  /** Absent: none. */
  readonly entrypoint?: readonly string[];
  /** Empty only beside an entry point. */
  readonly command: readonly string[];
  /** Absent: `/`. */
  readonly workingDirectory?: string;
  /** `user` or `user:group`, to be looked up in the finished tree; absent: root. */
  readonly user?: string;
  readonly stopSignal: string;
  /** Absent: none. */
  readonly exposedPorts?: readonly string[];
  /** Absent: none. */
  readonly privileges?: 'setuid';
  readonly places: readonly RecipePlace[];
}

/**
 * An init for images that name no command: it waits, reaps orphaned processes (dash and bash collect every child while
 * they wait) and ends at once on SIGTERM, which the first process of a container would otherwise ignore.
 */
export const IDLE_INIT: readonly string[] = [
  '/bin/sh',
  '-c',
  "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done",
];

export function settingsOf(recipe: Recipe, source: SourceSettings = { environment: {} }): ImageSettings {
  const workingDirectory = recipe.workingDirectory ?? source.workingDirectory;
  const exposedPorts = recipe.exposedPorts ?? source.exposedPorts;
  const privileges = recipe.privileges ?? source.privileges;
  return {
    environment: { ...source.environment, ...recipe.env },
    timezone: recipe.timezone ?? source.timezone ?? 'UTC',
    ...argvOf(recipe, source),
    workingDirectory: workingDirectory === '/' ? undefined : workingDirectory,
    user: recipe.user ?? source.user,
    stopSignal: recipe.stopSignal ?? source.stopSignal ?? 'SIGTERM',
    exposedPorts: exposedPorts?.length === 0 ? undefined : exposedPorts,
    privileges: privileges === 'none' ? undefined : privileges,
    places: recipe.writable ?? source.places ?? DEFAULT_PLACES,
  };
}

/**
 * As in a Dockerfile: another entry point makes the source's command meaningless, another command keeps the entry
 * point.
 */
function argvOf(recipe: Recipe, source: SourceSettings): Pick<ImageSettings, 'entrypoint' | 'command'> {
  const words = recipe.entrypoint ?? source.entrypoint ?? [];
  const command = recipe.command ?? (recipe.entrypoint === undefined ? source.command : undefined) ?? [];
  if (words.length > 0) return { entrypoint: words, command };
  return { command: command.length > 0 ? command : IDLE_INIT };
}

/** Settings that images built on this one begin with. */
export function settingsOfParent(manifest: ImageManifest): SourceSettings {
  const { environment, timezone, entrypoint, command, workingDirectory, user, stopSignal, exposedPorts, privileges } =
    manifest;
  return {
    ...{ environment, timezone, entrypoint, command, workingDirectory, stopSignal, exposedPorts, privileges },
    user: user?.name,
    places: manifest.mountPlan.places,
  };
}

/** @param modeOf mode of a directory of the finished tree, for places that set none */
export function mountPlanOf(places: readonly RecipePlace[], modeOf: (path: string) => number): MountPlan {
  return {
    schema: 1,
    places: places.map(({ path, bytes, inodes, content, mode }) => ({
      path,
      bytes,
      inodes,
      content,
      mode: mode ?? modeOf(path),
    })),
  };
}
