/** What an image says of itself beside its tree: the recipe's word, else the parent's, else the default. */
import type { ImageManifest, MountPlan } from '@plinth/contracts';
import type { Recipe, RecipePlace } from './recipe.js';
import { DEFAULT_PLACES } from './recipe-places.js';

export interface ImageSettings {
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone: string;
  readonly command: readonly string[];
  readonly stopSignal: string;
  readonly places: readonly RecipePlace[];
}

/**
 * An init for images that name no command: it waits, reaps what is left to it (dash and bash collect every child while they wait)
 * and ends at once on SIGTERM, which the first process of a container would otherwise ignore.
 */
export const IDLE_INIT: readonly string[] = [
  '/bin/sh',
  '-c',
  "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done",
];

export function settingsOf(recipe: Recipe, parent: ImageManifest | undefined): ImageSettings {
  return {
    environment: { ...parent?.environment, ...recipe.env },
    timezone: recipe.timezone ?? parent?.timezone ?? 'UTC',
    command: recipe.command ?? parent?.command ?? IDLE_INIT,
    stopSignal: recipe.stopSignal ?? parent?.stopSignal ?? 'SIGTERM',
    places: recipe.writable ?? parent?.mountPlan.places ?? DEFAULT_PLACES,
  };
}

/** @param modeOf mode of a directory of the finished tree, for places that say none */
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
