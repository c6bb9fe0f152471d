/** Every command by its name, loaded on demand. */
import type { Command } from 'commander';

export interface CommandModule {
  register(program: Command): void;
}

export const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  up: () => import('./up.js'),
  down: () => import('./down.js'),
};
